//! How a message leaves: to a program's standard input, or to a webhook.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::sign::signature;
use crate::{
    clock::Timestamp,
    config::Notify,
    net::{self, NetSettings},
    store::NoticeRow,
};

/// The ways on which a message can be sent.
pub(super) const COMMAND: &str = "command";
pub(super) const WEBHOOK: &str = "webhook";

/// The ways that the settings give.
pub(super) fn ways(settings: &Notify) -> Vec<&'static str> {
    let command = (!settings.command.is_empty()).then_some(COMMAND);
    let webhook = settings.webhook.as_ref().map(|_| WEBHOOK);
    command.into_iter().chain(webhook).collect()
}

/// One message about these notices.
pub(super) fn message(notices: &[&NoticeRow], now: Timestamp) -> Value {
    let sentences: Vec<String> = notices
        .iter()
        .map(|notice| match notice.times {
            0 | 1 => notice.message.clone(),
            times => format!("{} ({times} times)", notice.message),
        })
        .collect();
    let notices: Vec<Value> = notices
        .iter()
        .map(|notice| {
            json!({
                "id": notice.id,
                "kind": notice.kind,
                "cause": notice.cause,
                "message": notice.message,
                "details": notice.details,
                "times": notice.times,
                "raised_at": notice.raised_at,
            })
        })
        .collect();
    json!({"message": sentences.join("\n"), "sent_at": now, "notices": notices})
}

/// Sends a message on one way; the error says in words why it did not arrive.
pub(super) async fn send(
    way: &str,
    settings: &Notify,
    net: &NetSettings,
    message: &Value,
) -> Result<(), String> {
    let body = message.to_string();
    let work = async {
        if way == COMMAND {
            run_command(&settings.command, &body).await
        } else {
            post(settings, net, body.clone()).await
        }
    };
    match tokio::time::timeout(settings.timeout, work).await {
        Ok(result) => result,
        Err(_) => Err(format!(
            "no answer within {}",
            crate::config::duration::show(settings.timeout)
        )),
    }
}

async fn run_command(command: &[String], body: &str) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(());
    };
    let failed = |error: std::io::Error| format!("`{program}`: {error}");
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read what it is told may still do its work.
        let _read = stdin.write_all(body.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.trim().lines().next_back().unwrap_or_default();
    Err(format!("`{program}` ended with {}: {last}", output.status))
}

async fn post(settings: &Notify, net: &NetSettings, body: String) -> Result<(), String> {
    let Some(address) = &settings.webhook else {
        return Ok(());
    };
    // A redirect would take the message to a place that nobody named.
    let net = NetSettings {
        redirects: 0,
        total_timeout: settings.timeout.max(Duration::from_millis(1)),
        ..net.clone()
    };
    let client = net::client(&net).map_err(|error| error.to_string())?;
    let mut request = client
        .post(address.expose())
        .header("content-type", "application/json");
    if let Some(secret) = &settings.secret {
        let signature = signature(secret.expose().as_bytes(), body.as_bytes());
        request = request.header("x-trendmill-signature", format!("sha256={signature}"));
    }
    let answer = request
        .body(body)
        .send()
        .await
        // The address may hold a key of its own.
        .map_err(|error| crate::telemetry::chain(&error.without_url()))?;
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(format!("the webhook answered {}", answer.status()))
    }
}
