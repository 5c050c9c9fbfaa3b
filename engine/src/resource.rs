//! Resource ids as AWS writes them, taken apart, and the canonical key that billing and live resources meet on.
//!
//! A bill names a resource by its ARN or by a bare id, and which of the two depends on the service and on the charge: an
//! instance is `i-0abc…` on one row and `arn:aws:ec2:eu-west-1:111122223333:instance/i-0abc…` on the next. Both have one key.
//! Forms of ARNs are those of the AWS General Reference ("Amazon Resource Names"), types of EC2 resources those of the Service
//! Authorization Reference. Parsing is total: what has no known form is a name without parts, and its own key.

pub mod function;

use std::borrow::Cow;

/// The parts of a resource id; what the id does not say is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource<'a> {
    /// `aws`, `aws-cn`, `aws-us-gov` ...
    pub partition: Option<&'a str>,
    /// The service's namespace in ARNs: `ec2`, `s3`, `elasticloadbalancing`.
    pub service: Option<&'a str>,
    /// The Region's code; global resources have none.
    pub region: Option<&'a str>,
    /// The account that owns the resource.
    pub account_id: Option<&'a str>,
    /// What it is: `instance`, `volume`, `bucket`, `function`.
    pub r#type: Option<&'a str>,
    /// Its id without all that: `i-0abc…`, a bucket's name, `app/<name>/<hash>`.
    pub name: &'a str,
    /// The canonical key; see [`ResourceKey`].
    pub key: ResourceKey<'a>,
}

/// The key that is equal for all ways to name one resource: the bare id for EC2's resources, whose ids are unique in the
/// world; `s3:::<bucket>` for buckets; else the ARN, else the id as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceKey<'a>(Cow<'a, str>);

impl ResourceKey<'_> {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Ids of EC2 that occur bare: what comes before the hexadecimal digits, and the type that ARNs give them.
const BARE: &[(&str, &str)] = &[
    ("i-", "instance"),
    ("vol-", "volume"),
    ("snap-", "snapshot"),
    ("eni-", "network-interface"),
    ("nat-", "natgateway"),
    ("eipalloc-", "elastic-ip"),
    ("ami-", "image"),
    ("vpc-", "vpc"),
    ("subnet-", "subnet"),
    ("sg-", "security-group"),
    ("rtb-", "route-table"),
    ("acl-", "network-acl"),
    ("igw-", "internet-gateway"),
    ("eigw-", "egress-only-internet-gateway"),
    ("vgw-", "vpn-gateway"),
    ("cgw-", "customer-gateway"),
    ("vpn-", "vpn-connection"),
    ("tgw-attach-", "transit-gateway-attachment"),
    ("tgw-rtb-", "transit-gateway-route-table"),
    ("tgw-", "transit-gateway"),
    ("vpce-svc-", "vpc-endpoint-service"),
    ("vpce-", "vpc-endpoint"),
    ("pcx-", "vpc-peering-connection"),
    ("fl-", "vpc-flow-log"),
    ("lt-", "launch-template"),
    ("cr-", "capacity-reservation"),
    ("h-", "dedicated-host"),
    ("sir-", "spot-instances-request"),
    ("sfr-", "spot-fleet-request"),
];

/// The service code under which a bare id is the name of a bucket.
const S3_CODE: &str = "AmazonS3";

/// Takes an id apart. `service_code` is the bill's code of the service (`AmazonS3`), where it is known: the names of buckets
/// have no form of their own. `None` for blank text.
pub fn parse<'a>(id: &'a str, service_code: Option<&str>) -> Option<Resource<'a>> {
    let id = id.trim();
    if id.is_empty() {
        return None;
    }
    Some(arn(id).unwrap_or_else(|| bare(id, service_code)))
}

fn given(part: &str) -> Option<&str> {
    (!part.is_empty()).then_some(part)
}

/// `arn:<partition>:<service>:<region>:<account>:<resource>`.
fn arn(id: &str) -> Option<Resource<'_>> {
    let mut parts = id.strip_prefix("arn:")?.splitn(5, ':');
    let (partition, service, region, account, resource) = (
        parts.next()?,
        parts.next()?,
        parts.next()?,
        parts.next()?,
        parts.next()?,
    );
    if partition.is_empty() || service.is_empty() || resource.is_empty() {
        return None;
    }
    let (region, account) = (given(region), given(account));
    let (r#type, name) = typed(service, region.is_none() && account.is_none(), resource);
    let key = match (service, r#type) {
        ("ec2", _) if bare_type(name).is_some() => Cow::Borrowed(name),
        ("s3", Some("bucket")) => Cow::Owned(format!("s3:::{name}")),
        // CloudWatch Logs ends the ARNs of log groups so in its answers, and not in bills.
        ("logs", _) => Cow::Borrowed(id.strip_suffix(":*").unwrap_or(id)),
        _ => Cow::Borrowed(id),
    };
    Some(Resource {
        partition: Some(partition),
        service: Some(service),
        region,
        // Policies that AWS manages have the word "aws" there.
        account_id: account.filter(|account| account.bytes().all(|byte| byte.is_ascii_digit())),
        r#type,
        name,
        key: ResourceKey(key),
    })
}

/// The last part of an ARN: `type/id`, `type:id`, `/type/id`, or the id alone.
fn typed<'a>(service: &str, global: bool, resource: &'a str) -> (Option<&'a str>, &'a str) {
    match service {
        "s3" if global => match resource.contains('/') {
            true => (Some("object"), resource),
            false => (Some("bucket"), resource),
        },
        "sqs" => (Some("queue"), resource),
        "sns" if resource.contains(':') => (Some("subscription"), resource),
        "sns" => (Some("topic"), resource),
        "execute-api" => (Some("api"), resource),
        _ => {
            let resource = resource.strip_prefix('/').unwrap_or(resource);
            let resource = match service {
                "logs" => resource.strip_suffix(":*").unwrap_or(resource),
                _ => resource,
            };
            match resource.split_once(['/', ':']) {
                Some((r#type, name)) if !r#type.is_empty() && !name.is_empty() => (Some(r#type), name),
                _ => (None, resource),
            }
        }
    }
}

fn bare<'a>(id: &'a str, service_code: Option<&str>) -> Resource<'a> {
    let (service, r#type, key) = if service_code.is_some_and(|code| code.eq_ignore_ascii_case(S3_CODE)) {
        let key = Cow::Owned(format!("s3:::{id}"));
        (Some("s3"), Some("bucket"), key)
    } else if let Some(r#type) = bare_type(id) {
        (Some("ec2"), Some(r#type), Cow::Borrowed(id))
    } else {
        (None, None, Cow::Borrowed(id))
    };
    Resource {
        partition: None,
        service,
        region: None,
        account_id: None,
        r#type,
        name: id,
        key: ResourceKey(key),
    }
}

/// The type of an id of EC2: a known beginning, then eight or seventeen hexadecimal digits.
fn bare_type(id: &str) -> Option<&'static str> {
    let hexadecimal = |digits: &str| {
        matches!(digits.len(), 8 | 17) && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    BARE.iter()
        .find(|(beginning, _)| id.strip_prefix(beginning).is_some_and(hexadecimal))
        .map(|(_, r#type)| *r#type)
}

#[cfg(test)]
mod tests;
