//! Measures the steps of a build for `cargo xtask run --timings`.

use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

struct Step {
    name: String,
    start: Duration,
    end: Duration,
}

static STEPS: Mutex<Vec<Step>> = Mutex::new(Vec::new());

/// Runs `work` and records how long it takes.
pub(crate) fn measure<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let start = since_start();
    let result = work();
    record(name, start, since_start());
    result
}

fn record(name: &str, start: Duration, end: Duration) {
    if let Ok(mut steps) = STEPS.lock() {
        steps.push(Step { name: name.to_owned(), start, end });
    }
}

/// Records how long `cargo` needed to compile and start this program. `cargo run`
/// replaces itself by the program, so the age of the process includes it. Called
/// first in `main`.
pub(crate) fn record_own_build() {
    let age = age_of_process().unwrap_or_default();
    let _ = START.set((Instant::now(), age));
    record("cargo xtask itself", Duration::ZERO, age);
}

static START: std::sync::OnceLock<(Instant, Duration)> = std::sync::OnceLock::new();

/// The time since the process started, including the build of this program.
fn since_start() -> Duration {
    let (instant, age) = START.get_or_init(|| (Instant::now(), Duration::ZERO));
    *age + instant.elapsed()
}

/// From `/proc`, therefore on Linux only.
fn age_of_process() -> Option<Duration> {
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // Field 22, counted after the name in parentheses, in ticks of 10 ms.
    let start: f64 = stat.rsplit(')').next()?.split_whitespace().nth(19)?.parse().ok()?;
    Duration::try_from_secs_f64(uptime - start / 100.0).ok()
}

/// Prints the steps in the order in which they started, and the total.
pub(crate) fn print(total: &str) {
    let Ok(mut steps) = STEPS.lock() else { return };
    steps.sort_by_key(|step| step.start);
    print!("{}", table(&steps, total, since_start()));
}

fn table(steps: &[Step], total: &str, elapsed: Duration) -> String {
    let mut text = format!("\n{:<44} {:>9} {:>9}\n", "step", "start s", "took s");
    for Step { name, start, end } in steps {
        let took = end.saturating_sub(*start).as_secs_f64();
        text += &format!("{name:<44} {:>9.1} {took:>9.1}\n", start.as_secs_f64());
    }
    text += &format!("{total:<44} {:>9} {:>9.1}\n\n", "", elapsed.as_secs_f64());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_lists_start_and_duration_of_each_step() {
        let seconds = Duration::from_secs;
        let steps = [
            Step { name: "server".into(), start: seconds(10), end: seconds(130) },
            Step { name: "wasm".into(), start: seconds(11), end: seconds(81) },
        ];
        let text = table(&steps, "first page", seconds(131));
        let lines: Vec<Vec<&str>> =
            text.trim().lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["server", "10.0", "120.0"]);
        assert_eq!(lines[2], ["wasm", "11.0", "70.0"]);
        assert_eq!(lines[3], ["first", "page", "131.0"]);
    }
}
