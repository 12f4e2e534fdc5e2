//! `reddit`: how much may be asked of Reddit.

use clap::Subcommand;

use super::{
    failure::Failure,
    output::{Output, table},
};
use crate::{app::App, sources::reddit::BudgetSheet};

/// How much may be asked of Reddit.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the budget of this application: the window, what is used and kept, which hosts are
    /// left alone, and what went wrong last. Asks nobody.
    ///
    /// The processes of this home share it. Another home that asks as the same application has a
    /// budget of its own, and both together may ask too much, unless `reddit.budget_dir` of both
    /// names the same folder.
    Status,
}

/// Runs the command.
///
/// # Errors
///
/// Where no application is set, or its budget cannot be read.
pub(crate) fn run(command: &Command, app: &App, output: Output) -> Result<(), Failure> {
    match command {
        Command::Status => {
            let sheet = app.reddit_budget()?;
            if output.json {
                return Ok(output.json(&sheet)?);
            }
            Ok(output.data(words(&sheet))?)
        }
    }
}

/// The sheet for people.
fn words(sheet: &BudgetSheet) -> String {
    let mut parts = Vec::new();
    match &sheet.window {
        None => parts.push(without_window(sheet)),
        Some(window) if window.is_over => parts.push(format!(
            "the last window ended at {} with {} of {} calls used; the next call begins a new one",
            window.reset, window.used, window.limit
        )),
        Some(window) => parts.push(format!(
            "window {} to {}: {} of {} calls used, {} left; {} in flight, {} without a word",
            window.start,
            window.reset,
            window.used,
            window.limit,
            window.remaining,
            sheet.in_flight,
            window.unaccounted,
        )),
    }
    if let Some(ahead) = sheet.clock_ahead.filter(|ahead| ahead.abs() >= 2.0) {
        let side = if ahead > 0.0 { "behind" } else { "ahead of" };
        parts.push(format!(
            "this machine's clock is {:.0} s {side} the server's",
            ahead.abs()
        ));
    }
    if let Some(until) = sheet.stopped_until {
        parts.push(format!(
            "the server refuses calls; none leaves before {until}"
        ));
    }
    let mut classes = table(&["for", "calls", "reserved"]);
    for class in &sheet.classes {
        classes.add_row([
            class.class.to_string(),
            class.calls.to_string(),
            class.reserved.to_string(),
        ]);
    }
    parts.push(format!("\n{classes}"));
    if !sheet.breakers.is_empty() {
        let mut hosts = table(&["host", "breaker", "failures in a row", "until"]);
        for breaker in &sheet.breakers {
            let until = breaker.until.map(|until| until.to_string());
            hosts.add_row([
                breaker.host.clone(),
                breaker.state.to_owned(),
                breaker.failures.to_string(),
                until.unwrap_or_default(),
            ]);
        }
        parts.push(format!("\n{hosts}"));
    }
    if !sheet.last_errors.is_empty() {
        let mut errors = table(&["last errors", "host", "meaning", "what"]);
        for error in &sheet.last_errors {
            errors.add_row([
                error.at.to_string(),
                error.host.clone(),
                error.meaning().to_owned(),
                error.what.clone(),
            ]);
        }
        parts.push(format!("\n{errors}"));
    }
    parts.join("\n")
}

/// What is known where the server has told no count.
fn without_window(sheet: &BudgetSheet) -> String {
    let Some(last) = sheet.last_call else {
        return "nothing was asked yet: the first answer tells the budget".to_owned();
    };
    format!(
        "no answer has told a count of calls yet (`x-ratelimit-remaining`, `-used`, `-reset`), so \
         one call a second leaves at most; the last left at {last}, {} in flight",
        sheet.in_flight
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{ManualClock, Timestamp},
        config::Settings,
        sources::reddit::WindowSheet,
    };

    const AT: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    async fn app(settings: &str) -> (tempfile::TempDir, App) {
        let home = tempfile::tempdir().unwrap();
        let settings = Settings::from_layers(settings, []).unwrap();
        let app = App::detached(home.path(), settings).await.unwrap();
        let clock = std::sync::Arc::new(ManualClock::new(AT));
        (home, app.with_clock(clock))
    }

    #[tokio::test]
    async fn says_what_is_known_of_the_budget() {
        let (_home, app) = app("[reddit]\nclient_id = \"a\"\nclient_secret = \"b\"\n").await;
        let mut sheet = app.reddit_budget().unwrap();
        let text = words(&sheet);
        assert!(text.contains("nothing was asked yet"), "{text}");
        assert!(text.contains("deletion_sync"), "{text}");
        sheet.last_call = Some(AT);
        let text = words(&sheet);
        assert!(
            text.contains("no answer has told a count of calls"),
            "{text}"
        );
        assert!(!text.contains("nothing was asked"), "{text}");
        sheet.clock_ahead = Some(-185.4);
        sheet.window = Some(WindowSheet {
            start: AT,
            reset: AT,
            is_over: false,
            limit: 1000,
            used: 250,
            remaining: 750,
            unaccounted: 2,
        });
        let text = words(&sheet);
        assert!(text.contains("250 of 1000 calls used, 750 left"), "{text}");
        assert!(text.contains("185 s ahead of the server's"), "{text}");
    }

    #[tokio::test]
    async fn without_an_application_there_is_no_budget() {
        let (_home, app) = app("").await;
        let error = app.reddit_budget().unwrap_err().to_string();
        assert!(error.contains("`reddit.client_id`"), "{error}");
    }
}
