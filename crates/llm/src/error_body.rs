//! The machine-readable parts of an error body. Pure.

use domain::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// An error body of any known server. Gemini's compatible endpoint wraps it in a list.
pub(super) struct ErrorBody {
    json: Value,
}

impl ErrorBody {
    pub(super) fn parse(body: &[u8]) -> Self {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        Self { json: json.get(0).cloned().unwrap_or(json) }
    }

    fn text(&self, place: &str) -> Option<&str> {
        self.json.pointer(place)?.as_str()
    }

    /// Whether one of the codes of the error is in `wanted`.
    pub(super) fn has_code(&self, wanted: &[&str]) -> bool {
        let places = [
            "/error/type",
            "/error/code",
            "/error/status",
            "/type",
            "/code",
            "/error/innererror/code",
            "/error/metadata/error_type",
            "/error/details/error_code",
        ];
        let reasons = self.json.pointer("/error/details").and_then(Value::as_array);
        let reasons = reasons.into_iter().flatten().filter_map(|one| one.get("reason")?.as_str());
        places
            .iter()
            .filter_map(|place| self.text(place))
            .chain(reasons)
            .any(|code| wanted.contains(&code))
    }

    /// The message in lower case, or the whole body if it has none.
    pub(super) fn message(&self) -> String {
        let places = ["/error/message", "/message", "/error", "/detail"];
        let message = places.iter().find_map(|place| self.text(place));
        message.map_or_else(|| self.json.to_string(), str::to_owned).to_ascii_lowercase()
    }

    /// Whether a filter for harmful content rejected the request or the answer.
    pub(super) fn is_content_filter(&self, status: u16) -> bool {
        let codes = [
            "content_filter",
            "ResponsibleAIPolicyViolation",
            "content_policy_violation",
            "invalid_prompt",
            "cyber_policy_violation",
        ];
        // OpenRouter's moderation lists what it flagged.
        let moderated = status == 403
            && ["/error/metadata/reasons", "/error/metadata/flagged_input"]
                .iter()
                .any(|place| self.json.pointer(place).is_some_and(|value| !value.is_null()));
        let blocked = "output blocked by content filtering policy";
        moderated
            || (matches!(status, 400 | 403 | 422)
                && (self.has_code(&codes) || self.message().contains(blocked)))
    }

    /// Whether the request alone exceeds a limit, so that waiting does not help.
    pub(super) fn is_request_too_large(&self) -> bool {
        let message = self.message();
        self.has_code(&["request_too_large"])
            || ["request too large for", "request is too large for"]
                .iter()
                .any(|words| message.contains(words))
    }

    /// The wait of Google's `RetryInfo`: `"retryDelay": "34s"`.
    pub(super) fn retry_delay(&self, now: Timestamp) -> Option<Timestamp> {
        let details = self.json.pointer("/error/details")?.as_array()?;
        let delay = details.iter().find_map(|detail| detail.get("retryDelay")?.as_str())?;
        let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok().map(|wait| now.plus(wait))
    }
}
