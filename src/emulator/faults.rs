//! The script of faults: which requests go wrong, and how.

use std::collections::BTreeMap;

use axum::http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use super::length::Length;
use super::options::ProviderKind;
use super::switches::MAX_WAIT;

/// A fault: what it meets, how often, and what it does there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only requests to this provider; any if absent.
    #[serde(default)]
    pub provider: Option<ProviderKind>,
    /// Only requests with this method; any if absent.
    #[serde(default)]
    pub method: Option<String>,
    /// Only requests whose path and query, as sent, contain this text; any if absent.
    #[serde(default)]
    pub path: Option<String>,
    /// How many such requests pass first.
    #[serde(default)]
    pub skip: u64,
    /// How many it meets after that; `null` for all of them.
    #[serde(default = "once")]
    pub count: Option<u64>,
    /// How long the request waits first, in real time.
    #[serde(default)]
    pub delay: Length,
    /// What happens then; the true answer if absent.
    #[serde(default)]
    pub action: Option<Action>,
}

/// What happens instead of the true answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// A made-up answer; the request has no effect.
    Reply(MadeUp),
    /// The page of a captive portal: 200, `text/html`; the request has no effect.
    Html,
    /// A status and no body; the request has no effect.
    Empty(u16),
    /// The true answer under another Content-Type.
    WrongType(String),
    /// A TCP reset.
    Reset(ResetPoint),
    /// The true answer, cut off in its middle by an orderly end of the stream.
    HalfBody,
    /// The request has its effect; instead of its answer comes a TCP reset.
    LostReply,
    /// No answer as long as the client waits; the request has no effect.
    Hang,
}

/// A made-up answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadeUp {
    /// The status.
    pub status: u16,
    /// The headers; Date may be among them.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default)]
    pub body: String,
}

/// Where in a request the connection is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetPoint {
    /// When its head has arrived.
    Head,
    /// When half of its body has arrived.
    RequestBody,
    /// After the request had its effect, in the middle of the answer.
    ReplyBody,
}

/// A fault that makes no sense; says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot script the fault: {0}")]
pub struct SenselessFault(String);

impl Fault {
    /// A fault that meets the next request, whichever it is.
    #[must_use]
    pub const fn next(action: Action) -> Self {
        Self {
            provider: None,
            method: None,
            path: None,
            skip: 0,
            count: Some(1),
            delay: Length::ZERO,
            action: Some(action),
        }
    }

    fn check(&self) -> Result<(), SenselessFault> {
        let senseless = |what: &str| Err(SenselessFault(what.to_owned()));
        if self.delay.0 > MAX_WAIT {
            return senseless("a delay is at most ten minutes");
        }
        match &self.action {
            Some(Action::Reply(made_up)) => made_up.check(),
            Some(Action::Empty(status)) => check_status(*status),
            Some(Action::WrongType(name)) if HeaderValue::from_str(name).is_err() => {
                senseless("a Content-Type is text without control characters")
            }
            _ => Ok(()),
        }
    }

    fn meets(&self, provider: Option<ProviderKind>, method: &str, path: &str) -> bool {
        (self.provider.is_none() || self.provider == provider)
            && self.method.as_ref().is_none_or(|own| own.eq_ignore_ascii_case(method))
            && self.path.as_ref().is_none_or(|own| path.contains(own.as_str()))
    }
}

impl MadeUp {
    fn check(&self) -> Result<(), SenselessFault> {
        check_status(self.status)?;
        for (name, value) in &self.headers {
            if HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_str(value).is_err() {
                return Err(SenselessFault(format!("{name:?} is not a header that can be sent")));
            }
        }
        Ok(())
    }
}

fn check_status(status: u16) -> Result<(), SenselessFault> {
    // An interim answer such as 100 ends no request.
    if status < 200 || StatusCode::from_u16(status).is_err() {
        return Err(SenselessFault(format!("a status is from 200 to 999, not {status}")));
    }
    Ok(())
}

impl Action {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Reply(_) => "reply",
            Self::Html => "html",
            Self::Empty(_) => "empty",
            Self::WrongType(_) => "wrong_type",
            Self::Reset(_) => "reset",
            Self::HalfBody => "half_body",
            Self::LostReply => "lost_reply",
            Self::Hang => "hang",
        }
    }
}

/// A fault of the script, and how far it has been played.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScriptedFault {
    /// The fault.
    pub fault: Fault,
    /// How many requests it let pass.
    pub passed: u64,
    /// How many it met.
    pub met: u64,
}

/// The faults that are still to be played, in their order.
#[derive(Debug, Default)]
pub(super) struct Script(Vec<ScriptedFault>);

const FAULTS_MAX: usize = 1000;

impl Script {
    pub(super) fn add(&mut self, faults: Vec<Fault>) -> Result<(), SenselessFault> {
        if self.0.len() + faults.len() > FAULTS_MAX {
            return Err(SenselessFault(format!("a script has at most {FAULTS_MAX} faults; clear it first")));
        }
        faults.iter().try_for_each(Fault::check)?;
        self.0.extend(faults.into_iter().map(|fault| ScriptedFault { fault, passed: 0, met: 0 }));
        Ok(())
    }

    /// The fault that meets this request: the first that fits. What is played out leaves the script.
    pub(super) fn take(&mut self, provider: Option<ProviderKind>, method: &str, path: &str) -> Option<Fault> {
        for index in 0..self.0.len() {
            let scripted = &mut self.0[index];
            if !scripted.fault.meets(provider, method, path) {
                continue;
            }
            if scripted.passed < scripted.fault.skip {
                scripted.passed += 1;
                continue;
            }
            scripted.met += 1;
            let fault = scripted.fault.clone();
            if fault.count.is_some_and(|count| scripted.met >= count) {
                self.0.remove(index);
            }
            return Some(fault);
        }
        None
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn remaining(&self) -> Vec<ScriptedFault> {
        self.0.clone()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a default of an optional field")]
const fn once() -> Option<u64> {
    Some(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fault(value: serde_json::Value) -> Fault {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn faults_meet_what_they_name_as_often_as_they_say() {
        let mut script = Script::default();
        let hang = json!({"provider": "plivo", "method": "post", "path": "/Media/", "skip": 1, "count": 2, "action": "hang"});
        script.add(vec![fault(hang)]).unwrap();
        let post = |script: &mut Script| {
            script.take(Some(ProviderKind::Plivo), "POST", "/v1/Account/MA/Media/").is_some()
        };
        assert!(script.take(Some(ProviderKind::Bandwidth), "POST", "/Media/").is_none());
        assert!(script.take(Some(ProviderKind::Plivo), "GET", "/Media/").is_none());
        assert!(script.take(Some(ProviderKind::Plivo), "POST", "/Message/").is_none());
        assert_eq!([0; 4].map(|_| post(&mut script)), [false, true, true, false]);
        assert!(script.remaining().is_empty());
    }

    #[test]
    fn a_fault_without_a_count_meets_one_request_and_with_null_all() {
        let mut script = Script::default();
        script
            .add(vec![fault(json!({"action": "html"})), fault(json!({"count": null, "delay": "1s"}))])
            .unwrap();
        let actions: Vec<_> = (0..3).map(|_| script.take(None, "GET", "/").unwrap().action).collect();
        assert_eq!(actions, [Some(Action::Html), None, None]);
        assert_eq!(script.remaining().len(), 1);
    }

    #[test]
    fn senseless_faults_are_refused_and_nothing_is_added() {
        for bad in [
            json!({"action": {"reply": {"status": 99}}}),
            json!({"action": {"reply": {"status": 200, "headers": {"a b": "c"}}}}),
            json!({"action": {"reply": {"status": 200, "headers": {"a": "c\nd"}}}}),
            json!({"action": {"empty": 100}}),
            json!({"action": {"wrong_type": "a\u{0}"}}),
            json!({"delay": "11m"}),
        ] {
            let mut script = Script::default();
            assert!(script.add(vec![Fault::next(Action::Hang), fault(bad.clone())]).is_err(), "{bad}");
            assert!(script.remaining().is_empty());
        }
        for bad in [
            json!({"actoin": "hang"}),
            json!({"action": {"reply": {"status": 200, "text": ""}}}),
            json!({"action": {"reset": "soon"}}),
        ] {
            assert!(serde_json::from_value::<Fault>(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_script_is_bounded() {
        let mut script = Script::default();
        script.add(vec![Fault::next(Action::Hang); FAULTS_MAX]).unwrap();
        assert!(script.add(vec![Fault::next(Action::Hang)]).is_err());
    }
}
