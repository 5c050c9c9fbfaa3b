//! The table of the catalogue.

use super::PaymentOption::{AllUpfront, NoUpfront, PartialUpfront};
use super::Shape::{Flow, Steady, Stock};
use super::{Bundle, Cover, Discounts, IdStyle, Instance, Line, Meter, Shape, usd};

const EDP: Discounts = Discounts {
    bundled: 0,
    private: 0,
    edp: 60,
};
const NO_DISCOUNT: Discounts = Discounts {
    bundled: 0,
    private: 0,
    edp: 0,
};
const PRIVATE: Discounts = Discounts {
    bundled: 0,
    private: 120,
    edp: 60,
};
const BUNDLED: Discounts = Discounts {
    bundled: 250,
    private: 0,
    edp: 60,
};

const fn meter(
    usage_type: &'static str,
    operation: &'static str,
    family: &'static str,
    unit: &'static str,
    dollars: f64,
    per_day: f64,
    shape: Shape,
) -> Meter {
    Meter {
        usage_type,
        operation,
        family,
        unit,
        rate: usd(dollars),
        per_day,
        shape,
    }
}

const PLAIN: Bundle = Bundle {
    code: "",
    name: "",
    weight: 0.0,
    id: IdStyle::None,
    regional: true,
    line: Line::Usage,
    discounts: EDP,
    instance: None,
    engine: "",
    cover: Cover::None,
    meters: &[],
};

const EC2: &str = "Amazon Elastic Compute Cloud";

/// An EC2 instance type: its hours, and the traffic of those that are not covered.
macro_rules! ec2 {
    ($weight:expr, $cover:expr, $type:literal, $family:literal, $factor:expr, $vcpu:expr, $memory:expr, $rate:expr) => {
        Bundle {
            code: "AmazonEC2",
            name: EC2,
            weight: $weight,
            id: IdStyle::Bare("i-0"),
            instance: Some(Instance {
                name: $type,
                family: $family,
                factor: $factor,
                vcpu: $vcpu,
                memory: $memory,
            }),
            engine: "Linux",
            cover: $cover,
            meters: match $cover {
                Cover::None => &[
                    meter(
                        concat!("BoxUsage:", $type),
                        "RunInstances",
                        "Compute Instance",
                        "Hrs",
                        $rate,
                        24.0,
                        Steady,
                    ),
                    meter(
                        "DataTransfer-Regional-Bytes",
                        "InterZone-Out",
                        "Data Transfer",
                        "GB",
                        0.01,
                        3.0,
                        Flow(0.5),
                    ),
                ],
                _ => &[meter(
                    concat!("BoxUsage:", $type),
                    "RunInstances",
                    "Compute Instance",
                    "Hrs",
                    $rate,
                    24.0,
                    Steady,
                )],
            },
            ..PLAIN
        }
    };
}

/// A kind of resource with an ARN.
macro_rules! kind {
    ($code:literal, $name:literal, $weight:expr, $id:expr, [$($meter:expr),+ $(,)?] $(, $field:ident: $value:expr)*) => {
        Bundle { code: $code, name: $name, weight: $weight, id: $id, meters: &[$($meter),+], $($field: $value,)* ..PLAIN }
    };
}

const DB_LARGE: Instance = Instance {
    name: "db.r6g.large",
    family: "Memory optimized",
    factor: 4.0,
    vcpu: 2,
    memory: 16,
};
const DB_XLARGE: Instance = Instance {
    name: "db.m6g.xlarge",
    family: "General purpose",
    factor: 8.0,
    vcpu: 4,
    memory: 16,
};
const CACHE: Instance = Instance {
    name: "cache.r6g.large",
    family: "Memory optimized",
    factor: 4.0,
    vcpu: 2,
    memory: 13,
};
const SEARCH: Instance = Instance {
    name: "r6g.large.search",
    family: "Memory optimized",
    factor: 0.0,
    vcpu: 2,
    memory: 16,
};

/// EC2 with its volumes, snapshots and network, and what runs on it.
const COMPUTE: &[Bundle] = &[
    ec2!(5.0, Cover::None, "m6i.large", "General purpose", 4.0, 2, 8, 0.096),
    ec2!(3.0, Cover::None, "m5.xlarge", "General purpose", 8.0, 4, 16, 0.192),
    ec2!(2.0, Cover::None, "c6g.xlarge", "Compute optimized", 8.0, 4, 8, 0.136),
    ec2!(1.5, Cover::None, "r6g.large", "Memory optimized", 4.0, 2, 16, 0.1008),
    ec2!(3.0, Cover::None, "t3.medium", "General purpose", 2.0, 2, 4, 0.0416),
    ec2!(0.3, Cover::None, "g5.xlarge", "GPU instance", 8.0, 4, 16, 1.006),
    ec2!(
        7.0,
        Cover::Plan(0),
        "m6i.2xlarge",
        "General purpose",
        16.0,
        8,
        32,
        0.384
    ),
    ec2!(4.5, Cover::Plan(1), "c6i.xlarge", "Compute optimized", 8.0, 4, 8, 0.17),
    ec2!(3.0, Cover::Plan(2), "m6g.large", "General purpose", 4.0, 2, 8, 0.077),
    ec2!(
        3.0,
        Cover::Reservation(NoUpfront),
        "r5.xlarge",
        "Memory optimized",
        8.0,
        4,
        32,
        0.252
    ),
    Bundle {
        code: "AmazonEC2",
        name: EC2,
        weight: 1.5,
        id: IdStyle::Bare("i-0"),
        instance: Some(Instance {
            name: "c5.xlarge",
            family: "Compute optimized",
            factor: 8.0,
            vcpu: 4,
            memory: 8,
        }),
        engine: "Linux",
        meters: &[meter(
            "SpotUsage:c5.xlarge",
            "RunInstances:SV001",
            "Compute Instance",
            "Hrs",
            0.0581,
            17.0,
            Flow(0.6),
        )],
        ..PLAIN
    },
    kind!(
        "AmazonEC2",
        "Amazon Elastic Compute Cloud",
        15.0,
        IdStyle::Bare("vol-0"),
        [meter(
            "EBS:VolumeUsage.gp3",
            "CreateVolume-Gp3",
            "Storage",
            "GB-Mo",
            0.08,
            3.3,
            Stock
        )]
    ),
    kind!(
        "AmazonEC2",
        "Amazon Elastic Compute Cloud",
        2.0,
        IdStyle::Bare("vol-0"),
        [
            meter(
                "EBS:VolumeUsage.io2",
                "CreateVolume-Io2",
                "Storage",
                "GB-Mo",
                0.125,
                6.6,
                Stock
            ),
            meter(
                "EBS:VolumeP-IOPS.io2",
                "CreateVolume-Io2",
                "System Operation",
                "IOPS-Mo",
                0.065,
                100.0,
                Stock
            ),
        ]
    ),
    kind!(
        "AmazonEC2",
        "Amazon Elastic Compute Cloud",
        5.0,
        IdStyle::Arn("ec2", "snapshot/snap-0"),
        [meter(
            "EBS:SnapshotUsage",
            "CreateSnapshot",
            "Storage Snapshot",
            "GB-Mo",
            0.05,
            1.7,
            Stock
        )]
    ),
    kind!(
        "AmazonEC2",
        "Amazon Elastic Compute Cloud",
        1.5,
        IdStyle::Arn("ec2", "natgateway/nat-0"),
        [
            meter(
                "NatGateway-Hours",
                "NatGateway",
                "NAT Gateway",
                "Hrs",
                0.045,
                24.0,
                Steady
            ),
            meter(
                "NatGateway-Bytes",
                "NatGateway",
                "NAT Gateway",
                "GB",
                0.045,
                40.0,
                Flow(0.6)
            ),
        ]
    ),
    kind!(
        "AmazonEC2",
        "Amazon Elastic Compute Cloud",
        2.5,
        IdStyle::Bare("i-0"),
        [
            meter(
                "DataTransfer-Out-Bytes",
                "RunInstances",
                "Data Transfer",
                "GB",
                0.09,
                12.0,
                Flow(0.55)
            ),
            meter(
                "DataTransfer-In-Bytes",
                "RunInstances",
                "Data Transfer",
                "GB",
                0.0,
                20.0,
                Flow(0.55)
            ),
        ]
    ),
    kind!(
        "AWSELB",
        "Elastic Load Balancing",
        2.0,
        IdStyle::Arn("elasticloadbalancing", "loadbalancer/app/"),
        [
            meter(
                "LoadBalancerUsage",
                "LoadBalancing:Application",
                "Load Balancer-Application",
                "Hrs",
                0.0225,
                24.0,
                Steady
            ),
            meter(
                "LCUUsage",
                "LoadBalancing:Application",
                "Load Balancer-Application",
                "LCU-Hrs",
                0.008,
                30.0,
                Flow(0.5)
            ),
        ]
    ),
    kind!(
        "AmazonEKS",
        "Amazon Elastic Container Service for Kubernetes",
        0.5,
        IdStyle::Arn("eks", "cluster/"),
        [meter(
            "AmazonEKS-Hours:perCluster",
            "CreateOperation",
            "Compute",
            "Hours",
            0.1,
            24.0,
            Steady
        )]
    ),
    kind!("AmazonEKS", "Amazon Elastic Container Service for Kubernetes", 2.5, IdStyle::Pod, [
        meter("EKS-EC2-vCPU-Hours", "EKSPod-EC2", "Compute", "vCPU-Hours", 0.0, 24.0, Steady),
        meter("EKS-EC2-GB-Hours", "EKSPod-EC2", "Compute", "GB-Hours", 0.0, 24.0, Steady),
    ], line: Line::Split, discounts: NO_DISCOUNT),
    kind!(
        "AmazonECS",
        "Amazon EC2 Container Service",
        2.5,
        IdStyle::Arn("ecs", "task/apps/"),
        [
            meter(
                "Fargate-vCPU-Hours:perCPU",
                "FargateTask",
                "Compute",
                "hours",
                0.04048,
                24.0,
                Flow(0.7)
            ),
            meter(
                "Fargate-GB-Hours",
                "FargateTask",
                "Compute",
                "hours",
                0.004445,
                48.0,
                Flow(0.7)
            ),
        ]
    ),
    kind!(
        "AWSLambda",
        "AWS Lambda",
        4.0,
        IdStyle::Arn("lambda", "function:"),
        [
            meter(
                "Lambda-GB-Second",
                "Invoke",
                "Serverless",
                "Lambda-GB-Second",
                0.0000166667,
                42_000.0,
                Flow(0.4)
            ),
            meter(
                "Request",
                "Invoke",
                "Serverless",
                "Lambda-Requests",
                0.0000002,
                310_000.0,
                Flow(0.4)
            ),
        ]
    ),
];

/// Storage and databases.
const STORES: &[Bundle] = &[
    kind!(
        "AmazonS3",
        "Amazon Simple Storage Service",
        5.0,
        IdStyle::GlobalArn("s3", ""),
        [
            meter(
                "TimedStorage-ByteHrs",
                "StandardStorage",
                "Storage",
                "GB-Mo",
                0.023,
                95.0,
                Stock
            ),
            meter(
                "Requests-Tier1",
                "PutObject",
                "API Request",
                "Requests",
                0.000005,
                60_000.0,
                Flow(0.7)
            ),
            meter(
                "Requests-Tier2",
                "GetObject",
                "API Request",
                "Requests",
                0.0000004,
                900_000.0,
                Flow(0.5)
            ),
        ]
    ),
    kind!("AmazonS3", "Amazon Simple Storage Service", 1.5, IdStyle::GlobalArn("s3", ""), [
        meter("TimedStorage-INT-FA-ByteHrs", "IntelligentTieringFAStorage", "Storage", "GB-Mo", 0.023, 40.0, Stock),
        meter("DataTransfer-Out-Bytes", "GetObject", "Data Transfer", "GB", 0.09, 2.5, Flow(0.5)),
    ], discounts: PRIVATE),
    kind!("AmazonRDS", "Amazon Relational Database Service", 3.0, IdStyle::Arn("rds", "db:"), [
        meter("InstanceUsage:db.r6g.large", "CreateDBInstance:0014", "Database Instance", "Hrs", 0.225, 24.0, Steady),
        meter("RDS:GP3-Storage", "CreateDBInstance:0014", "Database Storage", "GB-Mo", 0.115, 8.0, Stock),
        meter("RDS:ChargedBackupUsage", "", "Storage Snapshot", "GB-Mo", 0.095, 2.0, Stock),
    ], instance: Some(DB_LARGE), engine: "PostgreSQL"),
    kind!("AmazonRDS", "Amazon Relational Database Service", 2.5, IdStyle::Arn("rds", "db:"), [
        meter("InstanceUsage:db.m6g.xlarge", "CreateDBInstance:0002", "Database Instance", "Hrs", 0.304, 24.0, Steady)
    ], instance: Some(DB_XLARGE), engine: "MySQL", cover: Cover::Reservation(PartialUpfront)),
    kind!("AmazonElastiCache", "Amazon ElastiCache", 1.0, IdStyle::Arn("elasticache", "cluster:"), [
        meter("NodeUsage:cache.r6g.large", "CreateCacheCluster:0002", "Cache Instance", "Hrs", 0.206, 24.0, Steady)
    ], instance: Some(CACHE), engine: "Redis"),
    kind!("AmazonElastiCache", "Amazon ElastiCache", 1.0, IdStyle::Arn("elasticache", "cluster:"), [
        meter("NodeUsage:cache.r6g.large", "CreateCacheCluster:0002", "Cache Instance", "Hrs", 0.206, 24.0, Steady)
    ], instance: Some(CACHE), engine: "Redis", cover: Cover::Reservation(AllUpfront)),
    kind!(
        "AmazonDynamoDB",
        "Amazon DynamoDB",
        2.0,
        IdStyle::Arn("dynamodb", "table/"),
        [
            meter(
                "ReadRequestUnits",
                "PayPerRequestThroughput",
                "Amazon DynamoDB PayPerRequest Throughput",
                "ReadRequestUnits",
                0.00000025,
                4_000_000.0,
                Flow(0.6)
            ),
            meter(
                "WriteRequestUnits",
                "PayPerRequestThroughput",
                "Amazon DynamoDB PayPerRequest Throughput",
                "WriteRequestUnits",
                0.00000125,
                700_000.0,
                Flow(0.6)
            ),
            meter(
                "TimedStorage-ByteHrs",
                "StandardStorage",
                "Database Storage",
                "GB-Mo",
                0.25,
                1.2,
                Stock
            ),
        ]
    ),
    kind!(
        "AmazonRedshift",
        "Amazon Redshift",
        0.3,
        IdStyle::Arn("redshift", "cluster:"),
        [
            meter(
                "Node:ra3.xlplus",
                "RunComputeNode:0001",
                "Compute Instance",
                "Node-Hrs",
                1.086,
                24.0,
                Steady
            ),
            meter(
                "RMS:ra3.xlplus",
                "RunComputeNode:0001",
                "Redshift Managed Storage",
                "GB-Mo",
                0.024,
                60.0,
                Stock
            ),
        ]
    ),
    kind!("AmazonES", "Amazon OpenSearch Service", 0.8, IdStyle::Arn("es", "domain/"), [
        meter("ESInstance:r6g.large", "ESDomain", "Amazon OpenSearch Service Instance", "Hrs", 0.167, 24.0, Steady),
        meter("ES:GP3-Storage", "ESDomain", "Amazon OpenSearch Service Volume", "GB-Mo", 0.122, 6.0, Stock),
    ], instance: Some(SEARCH)),
];

/// Everything else.
const OTHERS: &[Bundle] = &[
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

/// All kinds of resources. Instances come before the pods that run on them.
pub fn bundles() -> Vec<Bundle> {
    [COMPUTE, STORES, OTHERS].concat()
}
