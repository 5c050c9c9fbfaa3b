//! EC2 with its volumes, snapshots and network, and what runs on it.

use super::super::PaymentOption;
use super::super::Shape::{Flow, Steady, Stock};
use super::super::{Bundle, Cover, IdStyle, Instance, Line};
use super::{EC2, NO_DISCOUNT, PLAIN, meter};

/// The kinds.
pub const COMPUTE: &[Bundle] = &[
    ec2!(5.0, Cover::None, "m6i.large", "General purpose", 4.0, 2, 8, 0.096),
    ec2!(3.0, Cover::None, "m5.xlarge", "General purpose", 8.0, 4, 16, 0.192),
    ec2!(2.0, Cover::None, "c6g.xlarge", "Compute optimized", 8.0, 4, 8, 0.136),
    ec2!(1.5, Cover::None, "r6g.large", "Memory optimized", 4.0, 2, 16, 0.1008),
    ec2!(3.0, Cover::None, "t3.medium", "General purpose", 2.0, 2, 4, 0.0416),
    ec2!(0.3, Cover::None, "g5.xlarge", "GPU instance", 8.0, 4, 16, 1.006),
    ec2!(
        9.0,
        Cover::Plan(0),
        "m6i.2xlarge",
        "General purpose",
        16.0,
        8,
        32,
        0.384
    ),
    ec2!(5.5, Cover::Plan(1), "c6i.xlarge", "Compute optimized", 8.0, 4, 8, 0.17),
    ec2!(3.0, Cover::Plan(2), "m6g.large", "General purpose", 4.0, 2, 8, 0.077),
    ec2!(
        4.0,
        Cover::Reservation(PaymentOption::Fees),
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
