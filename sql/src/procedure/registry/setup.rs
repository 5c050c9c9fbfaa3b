//! Procedures that look at AWS's side of a connection, or make it.

use farthing_engine::account::location::LocationParts;
use farthing_engine::account::policy::Kind;
use farthing_engine::account::{CheckAccess, ConnectLinkedAll, CreateExport, Diagnose, SetupUser, UpdateCredentials};
use farthing_engine::principal::Role;
use farthing_engine::{Error, ErrorKind, Result};

use super::super::arguments::Arguments;
use super::super::{ArgumentKind, Procedure};
use super::{
    ACCESS_KEY_ID, ACCOUNT_NAME, CREDENTIAL, CREDENTIALS_CSV, DRY_RUN, SECRET_ACCESS_KEY, SESSION_TOKEN, missing,
    optional, required,
};

pub(super) const CHECK_AWS_ACCESS: Procedure = Procedure {
    name: "check_aws_access",
    about: "Tries every permission that connections need, and names rights that they hold and do not need; the result stays in \
            system.permission_checks.",
    privilege: Role::Operator,
    parameters: &[optional(
        "account_id",
        ArgumentKind::AccountId,
        "The account; all connected ones by default.",
    )],
    run: |connections, arguments, caller| {
        Box::pin(async move {
            let request = CheckAccess {
                account_id: arguments.account("account_id")?,
            };
            connections.check_access(&request, caller).await
        })
    },
};

pub(super) const CONNECT_AWS_LINKED_ALL: Procedure = Procedure {
    name: "connect_aws_linked_all",
    about: "Connects every account that the data names through a role of one name; of each role that does not trust Farthing yet \
            it shows the trust policy.",
    privilege: Role::Operator,
    parameters: &[
        required(
            "role_name",
            ArgumentKind::Text,
            "The role's name, the same in every account.",
        ),
        optional(
            "from_organization",
            ArgumentKind::Boolean,
            "Take the accounts that AWS Organizations lists too, not those of the data alone. Default false.",
        ),
        ACCESS_KEY_ID,
        SECRET_ACCESS_KEY,
        SESSION_TOKEN,
        CREDENTIALS_CSV,
        CREDENTIAL,
        DRY_RUN,
    ],
    run: |connections, arguments, caller| {
        Box::pin(async move {
            let request = ConnectLinkedAll {
                role_name: arguments.text("role_name")?.ok_or_else(|| missing("role_name"))?,
                credential: arguments.credential()?,
                from_organization: arguments.boolean("from_organization", false),
                dry_run: arguments.boolean("dry_run", false),
            };
            connections.connect_linked_all(&request, caller).await
        })
    },
};

pub(super) const CREATE_AWS_EXPORT: Procedure = Procedure {
    name: "create_aws_export",
    about: "Makes the bucket, its policy and the export where they are missing, and connects the payer. Writes to AWS: see the \
            plan first with dry_run => true.",
    privilege: Role::Operator,
    parameters: &[
        required("export_name", ArgumentKind::Text, "The export's name in AWS."),
        required(
            "bucket",
            ArgumentKind::Text,
            "The bucket; made if there is none of that name.",
        ),
        optional(
            "prefix",
            ArgumentKind::Text,
            "The path in the bucket that the export's folder lies in. Default 'exports'.",
        ),
        optional(
            "region",
            ArgumentKind::Text,
            "The Region of a bucket that is to be made. Default 'us-east-1'.",
        ),
        optional(
            "kind",
            ArgumentKind::Text,
            "'cur2' (CUR 2.0), 'focus' (FOCUS 1.2) or 'cur' (legacy report). Default 'cur2'.",
        ),
        optional(
            "granularity",
            ArgumentKind::Text,
            "'daily' or 'hourly'. Default 'daily'.",
        ),
        optional(
            "split_cost",
            ArgumentKind::Boolean,
            "Split the cost of containers (split cost allocation data). Default false.",
        ),
        optional(
            "connect",
            ArgumentKind::Boolean,
            "Connect the account as root with this export. Default true.",
        ),
        ACCESS_KEY_ID,
        SECRET_ACCESS_KEY,
        SESSION_TOKEN,
        CREDENTIALS_CSV,
        CREDENTIAL,
        optional("account_id", ArgumentKind::AccountId, "Checked against the key."),
        ACCOUNT_NAME,
        DRY_RUN,
    ],
    run: |connections, arguments, caller| {
        Box::pin(async move { connections.create_export(&create_export(&arguments)?, caller).await })
    },
};

pub(super) const DIAGNOSE_AWS: Procedure = Procedure {
    name: "diagnose_aws",
    about: "Looks at every connection and says why an export is not found, access is denied or data is missing. Changes nothing.",
    privilege: Role::Operator,
    parameters: &[
        optional(
            "account_id",
            ArgumentKind::AccountId,
            "A connected account; all by default.",
        ),
        optional("export_name", ArgumentKind::Text, "A connected export; all by default."),
    ],
    run: |connections, arguments, caller| {
        Box::pin(async move {
            let request = Diagnose {
                account_id: arguments.account("account_id")?,
                export: arguments.text("export_name")?,
            };
            connections.diagnose(&request, caller).await
        })
    },
};

pub(super) const SETUP_AWS_IAM_USER: Procedure = Procedure {
    name: "setup_aws_iam_user",
    about: "With an administrator's key, makes a policy, an IAM user and an access key, and connects the account with that key. \
            Writes to AWS: see the plan first with dry_run => true. The administrator's key is kept nowhere.",
    privilege: Role::Operator,
    parameters: &[
        optional(
            "location",
            ArgumentKind::Text,
            "The export that the user is to read, 's3://bucket/prefix/export'; leave it out for a linked account.",
        ),
        optional(
            "export_name",
            ArgumentKind::Text,
            "The export's name, where location ends at the prefix.",
        ),
        optional("user_name", ArgumentKind::Text, "The user's name. Default 'farthing'."),
        ACCESS_KEY_ID,
        SECRET_ACCESS_KEY,
        SESSION_TOKEN,
        CREDENTIALS_CSV,
        CREDENTIAL,
        optional("account_id", ArgumentKind::AccountId, "Checked against the key."),
        ACCOUNT_NAME,
        DRY_RUN,
    ],
    run: |connections, arguments, caller| {
        Box::pin(async move {
            let location = arguments.text("location")?.map(|location| -> Result<LocationParts> {
                Ok(LocationParts {
                    location: Some(location),
                    export_name: arguments.text("export_name")?,
                    ..LocationParts::default()
                })
            });
            let request = SetupUser {
                credential: arguments.credential()?,
                account_id: arguments.account("account_id")?,
                account_name: arguments.text("account_name")?,
                location: location.transpose()?,
                user_name: arguments.text("user_name")?.unwrap_or_else(|| "farthing".to_owned()),
                dry_run: arguments.boolean("dry_run", false),
            };
            connections.setup_user(&request, caller).await
        })
    },
};

pub(super) const UPDATE_AWS_CREDENTIALS: Procedure = Procedure {
    name: "update_aws_credentials",
    about: "Gives a connected account another key. The new one is verified before the old one is forgotten.",
    privilege: Role::Operator,
    parameters: &[
        ACCESS_KEY_ID,
        SECRET_ACCESS_KEY,
        SESSION_TOKEN,
        CREDENTIALS_CSV,
        CREDENTIAL,
        optional("account_id", ArgumentKind::AccountId, "Checked against the key."),
        DRY_RUN,
    ],
    run: |connections, arguments, caller| {
        Box::pin(async move {
            let request = UpdateCredentials {
                credential: arguments.credential()?,
                account_id: arguments.account("account_id")?,
                dry_run: arguments.boolean("dry_run", false),
            };
            connections.update_credentials(&request, caller).await
        })
    },
};

fn create_export(arguments: &Arguments) -> Result<CreateExport> {
    let kind = match arguments.text("kind")?.as_deref() {
        None | Some("cur2") => Kind::Cur2,
        Some("focus") => Kind::Focus,
        Some("cur") => Kind::Cur,
        Some(other) => return Err(no_choice("kind", other, "'cur2', 'focus' or 'cur'")),
    };
    let hourly = match arguments.text("granularity")?.as_deref() {
        None | Some("daily") => false,
        Some("hourly") => true,
        Some(other) => return Err(no_choice("granularity", other, "'daily' or 'hourly'")),
    };
    Ok(CreateExport {
        credential: arguments.credential()?,
        account_id: arguments.account("account_id")?,
        account_name: arguments.text("account_name")?,
        kind,
        export_name: arguments.text("export_name")?.ok_or_else(|| missing("export_name"))?,
        bucket: arguments.text("bucket")?.ok_or_else(|| missing("bucket"))?,
        prefix: arguments.text("prefix")?.unwrap_or_else(|| "exports".to_owned()),
        region: arguments.text("region")?.unwrap_or_else(|| "us-east-1".to_owned()),
        hourly,
        split_cost: arguments.boolean("split_cost", false),
        connect: arguments.boolean("connect", true),
        dry_run: arguments.boolean("dry_run", false),
    })
}

fn no_choice(argument: &str, given: &str, choices: &str) -> Error {
    Error::new(
        ErrorKind::BadValue,
        format!("the argument {argument} cannot be \"{given}\""),
    )
    .with_hint(format!("It is {choices}."))
}
