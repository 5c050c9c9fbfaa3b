//! The endpoint: one listener for all services, which routes by the service name in the credential scope.

mod answer;
mod connection;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::host::{S3Host, VirtualHost};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Error, S3ErrorCode, S3Result};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::answer::AnswerBody;
use self::connection::{Connection, ResetSwitch};
use super::cloud::Cloud;
use super::control::{ControlApis, Protocol, serve};
use super::log::{Exchange, RequestRecord};
use super::s3::Storage;
use super::s3_access::{Gate, Secrets};
use super::s3_error;
use super::signature::{Scope, signing_time};

/// Requests to services other than S3 carry small documents.
const LONGEST_CONTROL_BODY: usize = 4 * 1024 * 1024;

/// Everything that serves requests.
pub(crate) struct Endpoint {
    cloud: Arc<Cloud>,
    s3: S3Service,
    apis: ControlApis,
}

impl Endpoint {
    pub(crate) fn new(cloud: Arc<Cloud>) -> Self {
        let mut builder = S3ServiceBuilder::new(Storage(Arc::clone(&cloud)));
        builder.set_auth(Secrets(Arc::clone(&cloud)));
        builder.set_access(Gate(Arc::clone(&cloud)));
        builder.set_host(Hosts);
        let mut config = S3Config::default();
        // s3s compares with the system clock; `refuse_early` compares with the sandbox's instead.
        config.presigned_url_max_skew_time_secs = u32::MAX;
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        Self {
            cloud,
            s3: builder.build(),
            apis: ControlApis::new(),
        }
    }

    /// Accepts connections until `stop`.
    pub(crate) async fn run(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            // Finished connections are forgotten as new ones come.
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, peer)) => {
                    let _ = stream.set_nodelay(true);
                    let (connection, reset) = Connection::new(stream);
                    connections.spawn(Arc::clone(&self).converse(connection, reset, peer));
                }
                Err(error) => {
                    tracing::warn!(%error, "the sandbox could not accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            }
        }
        connections.shutdown().await;
    }

    async fn converse(self: Arc<Self>, connection: Connection, reset: ResetSwitch, peer: SocketAddr) {
        let service = service_fn(move |request| {
            let endpoint = Arc::clone(&self);
            let reset = reset.clone();
            async move { Ok::<_, Infallible>(endpoint.handle(request, peer, reset).await) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            // As AWS does: what was asked is done, whether or not somebody still waits for the answer.
            .half_close(true)
            .serve_connection(TokioIo::new(connection), service);
        // Clients that go away, and connections that a fault cut off, end here.
        if let Err(error) = served.await {
            tracing::debug!(%error, "connection ended early");
        }
    }

    async fn handle(&self, request: Request<Incoming>, peer: SocketAddr, reset: ResetSwitch) -> Response<AnswerBody> {
        let scope = Scope::of(request.headers(), request.uri());
        let service = match &scope {
            Some(scope) => scope.service.clone(),
            // Unsigned form posts are calls to a query service that forgot to sign.
            None if is_form(request.headers()) => "sts".to_owned(),
            None => "s3".to_owned(),
        };
        let exchange = Arc::new(self.exchange(&request, scope.as_ref(), &service, peer));
        self.cloud.log.push(Arc::clone(&exchange));
        let mut response = if service == "s3" {
            self.serve_s3(request, scope.as_ref(), &exchange).await
        } else {
            self.serve_control(request, &service, &exchange).await.map(Body::from)
        };
        if let Ok(id) = HeaderValue::from_str(&exchange.request_id) {
            response.headers_mut().insert("x-amz-request-id", id.clone());
            response.headers_mut().insert("x-amzn-requestid", id);
        }
        let status = response.status().as_u16();
        exchange.update(|record| record.status = status);
        response.map(|body| AnswerBody::new(body, exchange, reset))
    }

    fn exchange(
        &self,
        request: &Request<Incoming>,
        scope: Option<&Scope>,
        service: &str,
        peer: SocketAddr,
    ) -> Exchange {
        let text = |name: header::HeaderName| {
            let value = request.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let record = RequestRecord {
            time: self.cloud.clock.now(),
            service: service.to_owned(),
            access_key_id: scope.map(|scope| scope.access_key_id.clone()),
            range: text(header::RANGE),
            if_match: text(header::IF_MATCH),
            if_none_match: text(header::IF_NONE_MATCH),
            bytes_received: text(header::CONTENT_LENGTH)
                .and_then(|length| length.parse().ok())
                .unwrap_or_default(),
            ..RequestRecord::default()
        };
        Exchange::new(
            record,
            peer.ip(),
            request.uri().path(),
            scope.map(|scope| scope.region.clone()),
        )
    }

    async fn serve_s3(
        &self,
        mut request: Request<Incoming>,
        scope: Option<&Scope>,
        exchange: &Arc<Exchange>,
    ) -> Response<Body> {
        let refused = self.refuse_early(request.headers(), request.uri(), scope);
        let response = match refused {
            Err(error) => s3_error::render(error),
            Ok(()) => {
                request.extensions_mut().insert(Arc::clone(exchange));
                match self.s3.call(request.map(Body::from)).await {
                    Ok(response) => response,
                    Err(error) => {
                        tracing::warn!(?error, "s3s failed on a request");
                        s3_error::render(S3Error::new(S3ErrorCode::InternalError))
                    }
                }
            }
        };
        s3_error::complete(response, exchange).await
    }

    /// What s3s does not refuse, or refuses by the system's clock.
    fn refuse_early(&self, headers: &HeaderMap, uri: &http::Uri, scope: Option<&Scope>) -> S3Result<()> {
        let version_two = headers
            .get(header::AUTHORIZATION)
            .is_some_and(|value| value.as_bytes().starts_with(b"AWS "));
        if version_two || uri.query().is_some_and(|query| query.contains("AWSAccessKeyId=")) {
            return Err(S3Error::with_message(
                S3ErrorCode::InvalidRequest,
                "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
            ));
        }
        let Some(scope) = scope else {
            return Ok(());
        };
        // A presigned request may be old (its own lifetime decides), so only its header-signed kin is compared here.
        let skewed =
            !scope.presigned && signing_time(headers, uri).is_some_and(|time| self.cloud.clock.is_skewed(time));
        // An unknown key is reported as such even when the clock is wrong as well.
        if skewed && self.cloud.identities.credential(&scope.access_key_id).is_some() {
            return Err(S3Error::with_message(
                S3ErrorCode::RequestTimeTooSkewed,
                "The difference between the request time and the current time is too large.",
            ));
        }
        Ok(())
    }

    async fn serve_control(
        &self,
        request: Request<Incoming>,
        service: &str,
        exchange: &Arc<Exchange>,
    ) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        let Some(api) = self.apis.get(service) else {
            let error = super::control::ApiError::new(
                StatusCode::NOT_IMPLEMENTED,
                "NotImplemented",
                format!("The sandbox has no service with the signing name {service}."),
            );
            exchange.update(|record| record.error_code = Some(error.code.clone()));
            return Protocol::Query("https://farthing.invalid/sandbox").error(&error, exchange);
        };
        match Limited::new(body, LONGEST_CONTROL_BODY).collect().await {
            Ok(body) => serve(&self.cloud, api.as_ref(), exchange, &head, &body.to_bytes()).await,
            Err(error) => {
                let error = super::control::ApiError::invalid("ValidationError", format!("unreadable body: {error}"));
                api.protocol().error(&error, exchange)
            }
        }
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"))
}

/// Virtual-hosted style: `<bucket>.localhost:<port>`. Any other host name is path style.
struct Hosts;

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        match name.strip_suffix(".localhost") {
            Some(bucket) => Ok(VirtualHost::new("localhost").with_bucket(bucket)),
            None => Ok(VirtualHost::new(name)),
        }
    }
}
