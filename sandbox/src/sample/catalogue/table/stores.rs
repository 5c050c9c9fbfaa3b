//! Storage and databases.

use super::super::PaymentOption;
use super::super::Shape::{Flow, Steady, Stock};
use super::super::{Bundle, Cover, IdStyle, Instance};
use super::{PLAIN, PRIVATE, meter};

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

/// The kinds.
pub const STORES: &[Bundle] = &[
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
    ], instance: Some(DB_XLARGE), engine: "MySQL", cover: Cover::Reservation(PaymentOption::Mixed)),
    kind!("AmazonElastiCache", "Amazon ElastiCache", 1.0, IdStyle::Arn("elasticache", "cluster:"), [
        meter("NodeUsage:cache.r6g.large", "CreateCacheCluster:0002", "Cache Instance", "Hrs", 0.206, 24.0, Steady)
    ], instance: Some(CACHE), engine: "Redis"),
    kind!("AmazonElastiCache", "Amazon ElastiCache", 1.0, IdStyle::Arn("elasticache", "cluster:"), [
        meter("NodeUsage:cache.r6g.large", "CreateCacheCluster:0002", "Cache Instance", "Hrs", 0.206, 24.0, Steady)
    ], instance: Some(CACHE), engine: "Redis", cover: Cover::Reservation(PaymentOption::Upfront)),
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
