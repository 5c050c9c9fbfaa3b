//! Set-up of buckets: made once, in their Region, secured, and with a policy.

use farthing_engine::error::ErrorKind;
use farthing_engine::port::AwsAdministration;
use farthing_sandbox::aws::{SandboxSpec, WrongRegion};

use super::administration_accounts::{ALL, DELIVERY, OTHER};
use super::{ACCOUNT, Place};

const PUBLIC: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",
    "Resource":"arn:aws:s3:::made-bucket/*"}]}"#;

#[tokio::test]
async fn buckets_are_made_once_in_their_region() {
    let place = Place::new().await;
    place.sandbox.create_account(OTHER, "other").unwrap();
    let setup = place.user("setup", ALL);
    let other = place.user_of(OTHER, "setup", ALL);
    let admin = place.admin();
    assert_eq!(admin.bucket(&setup, "made-bucket").await.unwrap(), None);
    for (name, region) in [("made-bucket", "us-east-1"), ("made-abroad", "eu-central-1")] {
        for _ in 0..2 {
            admin.create_bucket(&setup, name, region).await.unwrap();
            admin.secure_bucket(&setup, name, region).await.unwrap();
        }
        let found = admin.bucket(&setup, name).await.unwrap().unwrap();
        assert_eq!((found.region.as_str(), found.policy), (region, None));
        let taken = admin.create_bucket(&other, name, region).await.unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::Duplicate);
        assert!(taken.message().contains("belongs to another AWS account"), "{taken}");
        let refused = admin.bucket(&other, name).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AwsRefused);
        assert!(
            refused.hint().unwrap().contains("bucket of another account"),
            "{refused:?}"
        );
    }
    for (name, wanted, actual) in [
        ("made-abroad", "us-east-1", "eu-central-1"),
        ("made-bucket", "eu-central-1", "us-east-1"),
    ] {
        let elsewhere = admin.create_bucket(&setup, name, wanted).await.unwrap_err();
        assert_eq!(elsewhere.kind(), ErrorKind::Duplicate);
        assert!(
            elsewhere.message().contains(&format!("in the Region {actual}")),
            "{elsewhere}"
        );
    }
    for (name, region) in [("Not_A_Bucket", "us-east-1"), ("made-nowhere", "moon-1")] {
        let error = admin.create_bucket(&setup, name, region).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadValue, "{error:?}");
    }
    for _ in 0..2 {
        admin
            .put_bucket_policy(&setup, "made-bucket", "us-east-1", DELIVERY)
            .await
            .unwrap();
    }
    let found = admin.bucket(&setup, "made-bucket").await.unwrap().unwrap();
    assert_eq!(found.policy.as_deref(), Some(DELIVERY));
    let malformed = admin
        .put_bucket_policy(&setup, "made-bucket", "us-east-1", "{}")
        .await
        .unwrap_err();
    assert_eq!(malformed.kind(), ErrorKind::BadValue);
    assert!(
        malformed.message().contains("Missing required field Statement"),
        "{malformed}"
    );
    let public = admin
        .put_bucket_policy(&setup, "made-bucket", "us-east-1", PUBLIC)
        .await
        .unwrap_err();
    assert_eq!(public.kind(), ErrorKind::AwsRefused);
    assert!(public.hint().unwrap().contains("makes the bucket public"), "{public:?}");
    let absent = admin
        .put_bucket_policy(&setup, "made-nowhere", "us-east-1", DELIVERY)
        .await
        .unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::Missing);
}

#[tokio::test]
async fn calls_follow_a_bucket_to_its_region() {
    for wrong_region in [
        WrongRegion::PermanentRedirect,
        WrongRegion::AuthorizationHeaderMalformed,
    ] {
        let spec = SandboxSpec {
            wrong_region,
            ..SandboxSpec::in_memory()
        };
        let place = Place::with(spec, |settings| settings).await;
        let setup = place.user("setup", ALL);
        place
            .sandbox
            .create_bucket(ACCOUNT, "made-bucket", "ap-south-1")
            .unwrap();
        let admin = place.admin();
        admin.secure_bucket(&setup, "made-bucket", "eu-west-1").await.unwrap();
        admin
            .put_bucket_policy(&setup, "made-bucket", "eu-west-1", DELIVERY)
            .await
            .unwrap();
        let found = admin.bucket(&setup, "made-bucket").await.unwrap().unwrap();
        assert_eq!(
            (found.region.as_str(), found.policy.as_deref()),
            ("ap-south-1", Some(DELIVERY))
        );
    }
}
