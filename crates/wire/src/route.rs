//! From a raw request target to an operation of the model and the labels in its path.
//!
//! Paths are split on literal `/` before anything is decoded, because ARNs carry encoded slashes. Beyond what the
//! model asks: a trailing slash may be missing or added, and an ARN may come unencoded, its slashes and all. Such an
//! ARN is what remains when the rest of the template is matched from both ends.

use http::Method;
use percent_encoding::percent_decode_str;

use crate::generated::OPERATIONS;
use crate::operation::{Operation, OperationId, Service};
use crate::{Error, ValidationReason};

/// An implemented operation and the labels of its path.
#[derive(Debug)]
pub struct Route {
    /// What the model says of the operation.
    pub operation: &'static Operation,
    /// What to dispatch on.
    pub id: OperationId,
    /// The labels.
    pub labels: Labels,
}

/// Decoded path labels by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(Vec<(&'static str, String)>);

impl Labels {
    /// The label of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(label, _)| *label == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Why a request has no route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The operation exists in the model, and not here.
    #[error("The operation {0} is not implemented by this server")]
    NotImplemented(&'static str),
    /// No operation has this method and path.
    #[error("No operation has this method and path")]
    Unknown,
    /// The path would match, but is not UTF-8 once decoded.
    #[error("The request path is not UTF-8")]
    NotUtf8,
}

impl From<RouteError> for Error {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::NotImplemented(_) | RouteError::Unknown => Self::unknown_operation(error.to_string()),
            RouteError::NotUtf8 => Self::validation(ValidationReason::CannotParse, error.to_string()),
        }
    }
}

/// Finds the operation of either service; their paths do not collide. `target` is the undecoded request target.
///
/// # Errors
/// See [`RouteError`].
pub fn route(method: &Method, target: &str) -> Result<Route, RouteError> {
    route_among(OPERATIONS, method, target)
}

/// As [`route`] within one service.
///
/// # Errors
/// See [`RouteError`].
pub fn route_in(service: Service, method: &Method, target: &str) -> Result<Route, RouteError> {
    route_among(
        OPERATIONS.iter().filter(|operation| operation.service == service),
        method,
        target,
    )
}

/// Matches a target against one template, such as `/runtimes/{agentRuntimeArn}/ws`, by the same rules.
///
/// # Errors
/// [`RouteError::Unknown`] if it does not match, [`RouteError::NotUtf8`].
pub fn match_path(template: &'static str, target: &str) -> Result<Labels, RouteError> {
    match_segments(template, &segments(path_of(target)))
        .ok_or(RouteError::Unknown)?
        .decode()
}

fn route_among(
    operations: impl IntoIterator<Item = &'static Operation>,
    method: &Method,
    target: &str,
) -> Result<Route, RouteError> {
    let path = segments(path_of(target));
    let (operation, found) = operations
        .into_iter()
        .filter(|operation| operation.method == method.as_str())
        .filter_map(|operation| Some((operation, match_segments(operation.uri, &path)?)))
        .max_by_key(|(_, found)| found.precision)
        .ok_or(RouteError::Unknown)?;
    let id = operation.id.ok_or(RouteError::NotImplemented(operation.name))?;
    Ok(Route {
        operation,
        id,
        labels: found.decode()?,
    })
}

/// The path of a request target in origin or absolute form.
fn path_of(target: &str) -> &str {
    let end = target.find(['?', '#']).unwrap_or(target.len());
    let target = &target[..end];
    match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => rest.find('/').map_or("/", |slash| &rest[slash..]),
        _ => target,
    }
}

fn segments(path: &str) -> Vec<&str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.strip_suffix('/').unwrap_or(path).split('/').collect()
}

/// A template that matches a path.
struct Match {
    labels: Vec<(&'static str, String)>,
    /// Whether no label spans slashes, then how many literal segments matched: the higher, the better.
    precision: (bool, usize),
}

impl Match {
    fn decode(self) -> Result<Labels, RouteError> {
        let decoded = self.labels.into_iter().map(|(name, raw)| {
            let value = percent_decode_str(&raw)
                .decode_utf8()
                .map_err(|_| RouteError::NotUtf8)?;
            Ok((name, value.into_owned()))
        });
        decoded.collect::<Result<_, _>>().map(Labels)
    }
}

fn match_segments(template: &'static str, path: &[&str]) -> Option<Match> {
    let template = segments(template);
    let extra = path.len().checked_sub(template.len())?;
    let spanning = if extra == 0 {
        None
    } else {
        Some(template.iter().position(|segment| is_arn_label(segment))?)
    };
    let mut matched = Match {
        labels: Vec::new(),
        precision: (spanning.is_none(), 0),
    };
    let mut rest = path;
    for (index, segment) in template.iter().enumerate() {
        let spans = spanning == Some(index);
        let (taken, after) = rest.split_at(if spans { 1 + extra } else { 1 });
        rest = after;
        match label_name(segment) {
            Some(_) if taken[0].is_empty() || (spans && !begins_arn(taken[0])) => return None,
            Some(name) => matched.labels.push((name, taken.join("/"))),
            None if taken[0] == *segment => matched.precision.1 += 1,
            None => return None,
        }
    }
    Some(matched)
}

fn label_name(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

fn is_arn_label(segment: &'static str) -> bool {
    label_name(segment).is_some_and(|name| name.ends_with("Arn"))
}

fn begins_arn(segment: &str) -> bool {
    percent_decode_str(segment).take(4).eq(*b"arn:")
}
