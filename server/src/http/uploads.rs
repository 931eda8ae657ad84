//! Files of an import, posted as `multipart/form-data` by a form or a program.

use super::problem::ErrorResponse;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::StatusCode;
use domain::error::{AppError, ErrorCode};
use domain::limits;
use domain::services::AppResult;
use services::document_import::{self, Format, ImportFile, ReadFiles};
use std::path::Path;

/// The maximum number of files of one upload.
const MAX_FILES: usize = 50;

/// The files of a `multipart/form-data` body. Parts without a file name are ignored.
///
/// # Errors
/// 413 for a body that is too large, 415 for a file of an unknown type, 400 for a body that
/// is broken or a file that is not text, 422 without a file.
pub(super) async fn read_files(request: Request) -> Result<Vec<ImportFile>, ErrorResponse> {
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|rejection| unreadable(rejection.status()))?;
    let mut files = Vec::new();
    while let Some(part) = form.next_field().await.map_err(|error| broken(&error))? {
        if let Some(file) = read_file(part).await? {
            files.push(file);
        }
        if files.len() > MAX_FILES {
            let detail = format!("An import has at most {MAX_FILES} files.");
            return Err(AppError::new(ErrorCode::Invalid, detail).into());
        }
    }
    if files.is_empty() {
        return Err(AppError::problem("file", "must be selected").into());
    }
    Ok(files)
}

/// Parses and converts the files on a thread for blocking work, because megabytes take long.
///
/// # Errors
/// Those of [`document_import::read_files`].
pub(super) async fn parse_files(files: Vec<ImportFile>) -> AppResult<ReadFiles> {
    let parsed = tokio::task::spawn_blocking(move || document_import::read_files(&files)).await;
    parsed.map_err(|error| services::internal(&error, "read the files of an import"))?
}

/// A file; `None` for another part and for the empty part of a form without a selected file.
async fn read_file(part: Field<'_>) -> Result<Option<ImportFile>, ErrorResponse> {
    let Some(name) = part.file_name().filter(|name| !name.is_empty()) else { return Ok(None) };
    // Some browsers send the path of a file in a selected folder.
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().take(limits::NAME).collect();
    let Some(format) = Format::of_file(Path::new(&name)) else {
        let detail = format!("{name}: unsupported file type. Use .json, .yaml, .yml or .md.");
        return Err(ErrorResponse::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    };
    let bytes = part.bytes().await.map_err(|error| broken(&error))?;
    let text = String::from_utf8(bytes.to_vec()).map_err(|_| {
        let detail = format!("{name}: the file is not text in UTF-8.");
        AppError::new(ErrorCode::Malformed, detail)
    })?;
    Ok(Some(ImportFile { name, text, format }))
}

fn broken(error: &MultipartError) -> ErrorResponse {
    unreadable(error.status())
}

fn unreadable(status: StatusCode) -> ErrorResponse {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = "The files are too large. The maximum is 8 MiB together.";
        return AppError::new(ErrorCode::TooLarge, detail).into();
    }
    let detail = "The upload could not be read: it is incomplete or no multipart/form-data.";
    AppError::new(ErrorCode::Malformed, detail).into()
}

#[cfg(test)]
mod tests {
    use super::parse_files;
    use futures::poll;
    use services::document_import::{Format, ImportFile};
    use std::pin::pin;

    #[tokio::test]
    async fn files_are_parsed_on_another_thread() {
        let entry = r#"{"kind": "agent"},"#.repeat(1000);
        let (name, text) = ("a.json".to_owned(), format!("[{}]", entry.trim_end_matches(',')));
        let file = ImportFile { name, text, format: Format::Json };
        let mut parsed = pin!(parse_files(vec![file]));
        assert!(poll!(&mut parsed).is_pending(), "the worker is free meanwhile");
        assert_eq!(parsed.await.expect("agents").documents.len(), 1000);
    }
}
