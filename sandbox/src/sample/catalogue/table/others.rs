//! Everything that is neither compute nor a store.

use super::super::Shape::{Flow, Steady, Stock};
use super::super::{Bundle, IdStyle, Line};
use super::{BUNDLED, NO_DISCOUNT, PLAIN, PRIVATE, meter};

/// The kinds.
pub const OTHERS: &[Bundle] = &[
    kind!("AmazonCloudFront", "Amazon CloudFront", 0.8, IdStyle::GlobalArn("cloudfront", "distribution/"), [
        meter("US-DataTransfer-Out-Bytes", "GET", "Data Transfer", "GB", 0.085, 60.0, Flow(0.8)),
        meter("US-Requests-Tier2-HTTPS", "GET", "Request", "Requests", 0.000001, 2_000_000.0, Flow(0.8)),
    ], regional: false, discounts: PRIVATE),
    kind!(
        "AmazonCloudWatch",
        "AmazonCloudWatch",
        3.0,
        IdStyle::Arn("logs", "log-group:"),
        [
            meter(
                "DataProcessing-Bytes",
                "PutLogEvents",
                "Data Payload",
                "GB",
                0.5,
                1.1,
                Flow(0.6)
            ),
            meter(
                "TimedStorage-ByteHrs",
                "HourlyStorageMetering",
                "Storage Snapshot",
                "GB-Mo",
                0.03,
                1.4,
                Stock
            ),
        ]
    ),
    kind!("AmazonCloudWatch", "AmazonCloudWatch", 1.0, IdStyle::None, [
        meter("CW:Requests", "GetMetricData", "API Request", "Requests", 0.00001, 90_000.0, Flow(0.9))
    ], discounts: BUNDLED),
    kind!(
        "awskms",
        "AWS Key Management Service",
        2.0,
        IdStyle::Arn("kms", "key/"),
        [
            meter("KMS-Keys", "Unknown", "Encryption Key", "Keys", 1.0, 0.033_334, Steady),
            meter(
                "KMS-Requests",
                "Decrypt",
                "API Request",
                "Requests",
                0.000003,
                40_000.0,
                Flow(0.6)
            ),
        ]
    ),
    kind!(
        "AWSQueueService",
        "Amazon Simple Queue Service",
        2.0,
        IdStyle::Arn("sqs", ""),
        [meter(
            "Requests-RBP",
            "SendMessage",
            "API Request",
            "Requests",
            0.0000004,
            1_500_000.0,
            Flow(0.5)
        )]
    ),
    kind!(
        "AmazonSNS",
        "Amazon Simple Notification Service",
        1.0,
        IdStyle::Arn("sns", ""),
        [meter(
            "Requests-Tier1",
            "Publish",
            "API Request",
            "Requests",
            0.0000005,
            200_000.0,
            Flow(0.5)
        )]
    ),
    kind!(
        "AWSSecretsManager",
        "AWS Secrets Manager",
        1.5,
        IdStyle::Arn("secretsmanager", "secret:"),
        [meter(
            "AWSSecretsManager-Secrets",
            "Unknown",
            "Secret",
            "Secrets",
            0.4,
            0.033_334,
            Steady
        )]
    ),
    kind!("AmazonRoute53", "Amazon Route 53", 0.6, IdStyle::GlobalArn("route53", "hostedzone/"), [
        meter("DNS-Queries", "A", "DNS Query", "Queries", 0.0000004, 3_000_000.0, Flow(0.8))
    ], regional: false),
    kind!(
        "AWSGlue",
        "AWS Glue",
        0.8,
        IdStyle::Arn("glue", "job/"),
        [meter(
            "ETL-DPU-Hour",
            "Jobrun",
            "AWS Glue",
            "DPU-Hour",
            0.44,
            4.0,
            Flow(0.3)
        )]
    ),
    kind!(
        "AmazonAthena",
        "Amazon Athena",
        0.6,
        IdStyle::Arn("athena", "workgroup/"),
        [meter(
            "DataScannedInTB",
            "RunQuery",
            "Athena Queries",
            "Terabytes",
            5.0,
            0.4,
            Flow(0.2)
        )]
    ),
    kind!(
        "AmazonSageMaker",
        "Amazon SageMaker",
        0.5,
        IdStyle::Arn("sagemaker", "endpoint/"),
        [meter(
            "Host:ml.m5.xlarge",
            "RunInstance",
            "ML Instance",
            "Hrs",
            0.23,
            24.0,
            Steady
        )]
    ),
    kind!(
        "AmazonBedrock",
        "Amazon Bedrock",
        0.8,
        IdStyle::Arn("bedrock", "application-inference-profile/"),
        [
            meter(
                "Claude-input-tokens",
                "InvokeModelInference",
                "Amazon Bedrock",
                "1K tokens",
                0.003,
                2_000.0,
                Flow(0.3)
            ),
            meter(
                "Claude-output-tokens",
                "InvokeModelInference",
                "Amazon Bedrock",
                "1K tokens",
                0.015,
                350.0,
                Flow(0.3)
            ),
        ]
    ),
    kind!(
        "AWSConfig",
        "AWS Config",
        1.0,
        IdStyle::None,
        [meter(
            "ConfigurationItemRecorded",
            "None",
            "Management Tools - AWS Config",
            "ConfigurationItemRecorded",
            0.003,
            250.0,
            Flow(0.7)
        )]
    ),
    kind!(
        "AmazonGuardDuty",
        "Amazon GuardDuty",
        0.8,
        IdStyle::Arn("guardduty", "detector/"),
        [meter(
            "PaidEventsAnalyzed",
            "CloudTrailEvent",
            "Amazon GuardDuty",
            "Events",
            0.000004,
            400_000.0,
            Flow(0.8)
        )]
    ),
    kind!(
        "AmazonApiGateway",
        "Amazon API Gateway",
        0.8,
        IdStyle::Arn("apigateway", "/restapis/"),
        [meter(
            "ApiGatewayRequest",
            "ApiGatewayRequest",
            "API Calls",
            "Requests",
            0.0000035,
            250_000.0,
            Flow(0.5)
        )]
    ),
    kind!("Kiro", "Kiro", 0.5, IdStyle::None, [
        meter("Kiro-Enterprise-Pro", "Subscription", "Developer Tools", "User-Month", 20.0, 0.033_334, Steady)
    ], line: Line::Flat, discounts: NO_DISCOUNT),
    kind!("7k2x9qv4b0m1n8c3z5l6j7h8g9", "Northwind Observability Platform", 0.7, IdStyle::None, [
        meter("MP:HostHours", "Hourly", "", "Hosts", 0.021, 240.0, Flow(0.9))
    ], line: Line::Marketplace("Northwind Observability, Inc."), discounts: NO_DISCOUNT),
];
