//! Which requests web pages must not send. A browser on this machine reaches the API for any page that is open in it;
//! what it says of the page (`Host`, `Origin`, `Sec-Fetch-Site`) no page can forge.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::asked;
use crate::api::Problem;
use crate::codes::Code;
use crate::settings::AllowedHost;

/// Under which names the API may be addressed, and whose pages may change things.
#[derive(Debug, Clone)]
pub struct Admission {
    loopback: bool,
    allowed: Vec<AllowedHost>,
}

const FETCH_SITE: &str = "sec-fetch-site";
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

impl Admission {
    /// For an API that listens there. `allowed` go beside the loopback interface's own names; on another interface any
    /// name goes unless some are given.
    pub fn new(listening: SocketAddr, allowed: Vec<AllowedHost>) -> Self {
        Self { loopback: listening.ip().is_loopback(), allowed }
    }

    fn judge(&self, request: &Request) -> Result<(), Problem> {
        let headers = request.headers();
        let host = self.host(headers, request.uri())?;
        if !request.method().is_safe() || request.method() == Method::OPTIONS {
            self.refuse_pages(headers, &host)?;
        }
        match asked::header(headers, header::CONTENT_ENCODING.as_str())? {
            None | Some("identity") => {}
            Some(encoding) => {
                let short: String = encoding.chars().take(80).collect();
                return Err(Problem::new(Code::ContentEncoding, format!("a body in {short:?} is not read here")));
            }
        }
        // A page may send a body without a type where it must not send JSON.
        if asked::header(headers, header::CONTENT_TYPE.as_str())?.is_none() && !request.body().is_end_stream() {
            return Err(Problem::new(Code::MediaType, "the body has no Content-Type"));
        }
        Ok(())
    }

    /// Returns the name under which the API is asked, if it is one of its names.
    fn host(&self, headers: &HeaderMap, uri: &Uri) -> Result<AllowedHost, Problem> {
        let refused = |detail: String| Problem::new(Code::UnknownHost, detail);
        let text = asked::header(headers, header::HOST.as_str())?;
        let text = text.ok_or_else(|| refused("the request names no host".to_owned()))?;
        let host: AllowedHost =
            text.parse().map_err(|error: crate::settings::InvalidHost| refused(error.to_string()))?;
        if uri.authority().map(Authority::as_str).is_some_and(|authority| !authority.eq_ignore_ascii_case(text)) {
            return Err(refused("the request names two hosts".to_owned()));
        }
        // No page has an address for its name unless it comes from there.
        let anywhere = !self.loopback && (self.allowed.is_empty() || host.address().is_some());
        if anywhere || host.is_loopback() || self.allowed.iter().any(|allowed| allowed.covers(&host)) {
            return Ok(host);
        }
        Err(refused(format!("{host} is not a name of this API")))
    }

    fn refuse_pages(&self, headers: &HeaderMap, host: &AllowedHost) -> Result<(), Problem> {
        let refused = |detail: String| Err(Problem::new(Code::CrossOrigin, detail));
        if let Some(text) = asked::header(headers, header::ORIGIN.as_str())? {
            let origin = origin(text);
            if origin.as_ref().is_some_and(|(origin, _)| self.allowed.iter().any(|allowed| allowed.covers(origin))) {
                return Ok(());
            }
            let same = |(origin, usual): (AllowedHost, u16)| {
                origin.name == host.name && origin.port == Some(host.port.unwrap_or(usual))
            };
            if !origin.is_some_and(same) {
                let short: String = text.chars().take(80).collect();
                return refused(format!("the page is of {short:?}, not of {host}"));
            }
        }
        match asked::header(headers, FETCH_SITE)? {
            None | Some("same-origin" | "none") => Ok(()),
            Some(_) => refused(format!("the page is not of {host}")),
        }
    }
}

/// Reads an origin: the host with its port, and the port that its scheme has by itself. `null` is none.
fn origin(text: &str) -> Option<(AllowedHost, u16)> {
    let (scheme, host) = text.split_once("://")?;
    let usual = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let host: AllowedHost = host.parse().ok()?;
    Some((AllowedHost { port: host.port.or(Some(usual)), ..host }, usual))
}

/// Lets a request in, or answers why not.
pub async fn admit(State(admission): State<Arc<Admission>>, request: Request, next: Next) -> Response {
    let mut response = match admission.judge(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    // Nor may a page take an answer for a script or a picture of its own.
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    const LOOPBACK: &str = "127.0.0.1:4000";

    fn judged(listening: &str, allowed: &[&str], method: Method, headers: &[(&str, &str)]) -> Result<(), Code> {
        let allowed = allowed.iter().map(|text| text.parse().unwrap()).collect();
        let mut request = Request::builder().method(method).uri("/runs");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let admission = Admission::new(listening.parse().unwrap(), allowed);
        admission.judge(&request.body(Body::empty()).unwrap()).map_err(|problem| problem.code())
    }

    #[test]
    fn on_the_loopback_interface_only_its_own_names_and_those_allowed_are_answered() {
        let get = |allowed: &[&str], host: &str| judged(LOOPBACK, allowed, Method::GET, &[("host", host)]);
        for ours in ["localhost:4000", "127.0.0.1:4000", "[::1]:4000", "LocalHost", "localhost.:4010"] {
            assert_eq!(get(&[], ours), Ok(()), "{ours}");
        }
        for other in
            ["evil.example", "evil.example:4000", "127.0.0.1.evil.example:4000", "10.0.0.1:4000", "0.0.0.0", ""]
        {
            assert_eq!(get(&[], other), Err(Code::UnknownHost), "{other:?}");
        }
        assert_eq!(get(&["api.example"], "api.example:1"), Ok(()));
        assert_eq!(get(&["api.example:2"], "api.example:1"), Err(Code::UnknownHost));
        assert_eq!(get(&["api.example"], "evil.api.example"), Err(Code::UnknownHost));
        assert_eq!(judged(LOOPBACK, &[], Method::GET, &[]), Err(Code::UnknownHost));
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(judged(LOOPBACK, &[], Method::GET, &twice), Err(Code::InvalidHeader));
    }

    #[test]
    fn elsewhere_any_name_is_answered_unless_some_are_given() {
        let get = |allowed: &[&str], host: &str| judged("0.0.0.0:4000", allowed, Method::GET, &[("host", host)]);
        assert_eq!(get(&[], "api.example"), Ok(()));
        assert_eq!(get(&["api.example"], "api.example"), Ok(()));
        assert_eq!(get(&["api.example"], "10.0.0.1:4000"), Ok(()));
        assert_eq!(get(&["api.example"], "evil.example"), Err(Code::UnknownHost));
    }

    #[test]
    fn pages_of_other_origins_change_nothing() {
        let post = |allowed: &[&str], headers: &[(&str, &str)]| {
            let headers = [&[("host", "localhost:4000")], headers].concat();
            judged(LOOPBACK, allowed, Method::POST, &headers)
        };
        let (origin, site) = ("origin", "sec-fetch-site");
        assert_eq!(post(&[], &[]), Ok(()), "a program");
        assert_eq!(post(&[], &[(origin, "http://localhost:4000"), (site, "same-origin")]), Ok(()));
        assert_eq!(post(&[], &[(site, "none")]), Ok(()));
        let pages =
            ["http://evil.example", "http://localhost:3000", "http://127.0.0.1:4000", "null", "", "http://localhost"];
        for page in pages.into_iter().chain(["file://", "http://localhost:4000.evil.example", "https://localhost"]) {
            assert_eq!(post(&[], &[(origin, page)]), Err(Code::CrossOrigin), "{page:?}");
        }
        for from in ["cross-site", "same-site", "else"] {
            assert_eq!(post(&[], &[(site, from)]), Err(Code::CrossOrigin), "{from}");
            assert_eq!(post(&[], &[(origin, "http://localhost:4000"), (site, from)]), Err(Code::CrossOrigin), "{from}");
        }
        let allowed = [(origin, "https://ui.example"), (site, "cross-site")];
        assert_eq!(post(&["ui.example"], &allowed), Ok(()));
        assert_eq!(post(&["ui.example:443"], &allowed), Ok(()));
        assert_eq!(post(&["ui.example:8443"], &allowed), Err(Code::CrossOrigin));
        // Behind something that ends TLS the scheme is another's, the host is not.
        let usual = |page| judged("0.0.0.0:4000", &[], Method::POST, &[("host", "api.example"), (origin, page)]);
        assert_eq!((usual("https://api.example"), usual("http://api.example")), (Ok(()), Ok(())));
        assert_eq!(usual("https://api.example:444"), Err(Code::CrossOrigin));
        let read = [("host", "localhost:4000"), (origin, "http://evil.example"), (site, "cross-site")];
        assert_eq!(
            judged(LOOPBACK, &[], Method::GET, &read),
            Ok(()),
            "a page of another origin cannot read the answer"
        );
        for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
            assert_eq!(judged(LOOPBACK, &[], method, &read), Err(Code::CrossOrigin));
        }
    }
}
