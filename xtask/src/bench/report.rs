//! The table of results, in Markdown.

/// A measurement beside its goal.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) measured: String,
    /// What the measurement is compared with, and the ratio.
    pub(super) compared: String,
    pub(super) goal: String,
    /// Whether the goal is met; `None` without a goal.
    pub(super) met: Option<bool>,
}

impl Row {
    pub(super) fn new(
        name: impl Into<String>,
        measured: impl Into<String>,
        goal: impl Into<String>,
        met: bool,
    ) -> Self {
        let (name, measured, goal) = (name.into(), measured.into(), goal.into());
        Self { name, measured, compared: String::new(), goal, met: Some(met) }
    }

    /// A row without a goal.
    pub(super) fn plain(name: impl Into<String>, measured: impl Into<String>) -> Self {
        Self { met: None, ..Self::new(name, measured, "", true) }
    }

    /// A time with a goal for its ratio to another time.
    pub(super) fn ratio(
        name: impl Into<String>,
        seconds: f64,
        (what, other): (&str, f64),
        max: f64,
    ) -> Self {
        let ratio = seconds / other;
        let goal = format!("≤ {max:.2} ×");
        let row = Self::new(name, format!("{seconds:.2} s"), goal, ratio <= max);
        Self { compared: format!("{what} {other:.2} s: {ratio:.2} ×"), ..row }
    }
}

pub(super) fn markdown(rows: &[Row]) -> String {
    let mut table = String::from("| What | Measured | Compared with | Goal | Met |\n");
    table += "|---|---|---|---|---|\n";
    for Row { name, measured, compared, goal, met } in rows {
        let met = match met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        table += &format!("| {name} | {measured} | {compared} | {goal} | {met} |\n");
    }
    table
}

/// The median of an odd number of values.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratio_decides_whether_a_goal_is_met() {
        let row = |seconds| Row::ratio("a", seconds, ("bare", 2.0), 1.1);
        assert_eq!(row(2.2).met, Some(true));
        assert_eq!(row(2.21).met, Some(false));
        let missed = "| a | 2.21 s | bare 2.00 s: 1.10 × | ≤ 1.10 × | **no** |";
        assert!(markdown(&[row(2.21)]).ends_with(&format!("{missed}\n")));
        assert!(markdown(&[Row::plain("b", "c")]).ends_with("| b | c |  |  |  |\n"));
    }

    #[test]
    fn median_is_the_middle_value() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }
}
