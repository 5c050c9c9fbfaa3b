//! The procedures.

mod migrate;
mod setup;

use farthing_engine::account::location::LocationParts;
use farthing_engine::account::{ConnectLinked, ConnectRoot, Deliveries, Disconnect, Refresh, SetupGuide};
use farthing_engine::principal::Role;
use farthing_engine::secret::SecretString;
use farthing_engine::{Error, ErrorKind, Result};

use super::arguments::Arguments;
use super::{ArgumentKind, Parameter, Procedure};

const fn optional(name: &'static str, kind: ArgumentKind, about: &'static str) -> Parameter {
    Parameter {
        name,
        kind,
        required: false,
        about,
    }
}

const fn required(name: &'static str, kind: ArgumentKind, about: &'static str) -> Parameter {
    Parameter {
        name,
        kind,
        required: true,
        about,
    }
}

const ACCESS_KEY_ID: Parameter = optional(
    "access_key_id",
    ArgumentKind::Text,
    "The id of an access key of the account; from the console's CSV.",
);
const SECRET_ACCESS_KEY: Parameter = optional(
    "secret_access_key",
    ArgumentKind::Secret,
    "The secret access key. Stored encrypted, shown never.",
);
const SESSION_TOKEN: Parameter = optional(
    "session_token",
    ArgumentKind::Secret,
    "The session token of temporary credentials.",
);
const CREDENTIALS_CSV: Parameter = optional(
    "credentials_csv",
    ArgumentKind::Secret,
    "The text of the CSV file that the console offers for a new key, instead of its two parts.",
);
const CREDENTIAL: Parameter = optional(
    "credential",
    ArgumentKind::Text,
    "Instead of a key: 'secret:<name>', a secret stored with put_secret; or a credential of the server's machine, which is \
     read there for each use and never stored: 'profile:<name>' of its AWS configuration files, 'chain:env' (AWS_ACCESS_KEY_ID \
     and so on), 'chain:instance' (EC2), 'chain:container' (ECS, EKS) or 'chain:web_identity'. Whoever may CALL this may use \
     what the machine may: that is for its operator to know.",
);
const ROLE_ARN: Parameter = optional(
    "role_arn",
    ArgumentKind::Text,
    "A role of the account, 'arn:aws:iam::<account>:role/<name>', that the key or else the connected root assumes. The first call \
     shows the trust policy that it needs.",
);
const ACCOUNT_NAME: Parameter = optional("account_name", ArgumentKind::Text, "A name for people.");
const DRY_RUN: Parameter = optional(
    "dry_run",
    ArgumentKind::Boolean,
    "Only look and plan; nothing is changed. Default false.",
);

/// All procedures, in order of name.
pub(crate) static PROCEDURES: &[Procedure] = &[
    Procedure {
        name: "aws_setup_guide",
        about: "The console steps that create an export by hand, with names and documents filled in. Changes nothing.",
        privilege: Role::Operator,
        parameters: &[
            required("account_id", ArgumentKind::AccountId, "The payer."),
            required(
                "bucket",
                ArgumentKind::Text,
                "The bucket to deliver to, whether it exists or not.",
            ),
            required(
                "export_name",
                ArgumentKind::Text,
                "The name that the export is to have.",
            ),
            optional("prefix", ArgumentKind::Text, "The path in the bucket. Default none."),
            optional(
                "region",
                ArgumentKind::Text,
                "The bucket's Region. Default 'us-east-1'.",
            ),
            optional(
                "user_name",
                ArgumentKind::Text,
                "The IAM user that reads. Default 'farthing'.",
            ),
        ],
        run: |connections, arguments, caller| {
            Box::pin(async move { connections.setup_guide(&setup_guide(&arguments)?, caller).await })
        },
    },
    setup::CHECK_AWS_ACCESS,
    Procedure {
        name: "connect_aws_linked",
        about: "Connects a member account: its rows in the root's export become visible, for every month, at once.",
        privilege: Role::Operator,
        parameters: &[
            ACCESS_KEY_ID,
            SECRET_ACCESS_KEY,
            SESSION_TOKEN,
            CREDENTIALS_CSV,
            CREDENTIAL,
            ROLE_ARN,
            optional(
                "account_id",
                ArgumentKind::AccountId,
                "Checked against the key; alone it is enough for exports of a folder.",
            ),
            ACCOUNT_NAME,
            DRY_RUN,
        ],
        run: |connections, arguments, caller| {
            Box::pin(async move { connections.connect_linked(&connect_linked(&arguments)?, caller).await })
        },
    },
    setup::CONNECT_AWS_LINKED_ALL,
    Procedure {
        name: "connect_aws_root",
        about: "Connects a payer through an export that exists, named or found: imports every delivered month and keeps it up \
                to date.",
        privilege: Role::Operator,
        parameters: &[
            optional(
                "location",
                ArgumentKind::Text,
                "'s3://bucket/prefix/export' or 'file:///folder/export'; without a place the account's exports are looked through.",
            ),
            optional("bucket", ArgumentKind::Text, "The bucket, where location is not given."),
            optional(
                "prefix",
                ArgumentKind::Text,
                "The path between bucket and export name, where location is not given.",
            ),
            optional(
                "export_name",
                ArgumentKind::Text,
                "The export's name in AWS; with it, location may end at the prefix.",
            ),
            optional(
                "region",
                ArgumentKind::Text,
                "The bucket's Region; found out by default.",
            ),
            ACCESS_KEY_ID,
            SECRET_ACCESS_KEY,
            SESSION_TOKEN,
            CREDENTIALS_CSV,
            CREDENTIAL,
            ROLE_ARN,
            optional(
                "account_id",
                ArgumentKind::AccountId,
                "Checked against the key; for a folder without data, the payer.",
            ),
            ACCOUNT_NAME,
            optional(
                "replace",
                ArgumentKind::Boolean,
                "Replace an export of this name at another place. Default false.",
            ),
            optional(
                "unverified",
                ArgumentKind::Boolean,
                "Take data files of a bucket without a manifest, as a copy of the data alone has them. Default false.",
            ),
            optional("wait", ArgumentKind::Boolean, "Return after the import. Default true."),
            DRY_RUN,
        ],
        run: |connections, arguments, caller| {
            Box::pin(async move { connections.connect_root(&connect_root(&arguments)?, caller).await })
        },
    },
    setup::CREATE_AWS_EXPORT,
    setup::DIAGNOSE_AWS,
    Procedure {
        name: "disconnect_aws_account",
        about: "Hides an account's rows and forgets its key. Nothing in AWS is touched: it says what remains there, and how to \
                remove it.",
        privilege: Role::Operator,
        parameters: &[
            required("account_id", ArgumentKind::AccountId, "The account."),
            optional(
                "confirm",
                ArgumentKind::Text,
                "The account id again; a root is disconnected only with it.",
            ),
            optional(
                "keep_data",
                ArgumentKind::Boolean,
                "Keep what was imported of a root's exports, so that connecting it again needs no import; false deletes it. \
                 Default true.",
            ),
            DRY_RUN,
        ],
        run: |connections, arguments, caller| {
            Box::pin(async move {
                let account_id = arguments
                    .known_account("account_id")?
                    .ok_or_else(|| missing("account_id"))?;
                let dry_run = arguments.boolean("dry_run", false);
                let request = Disconnect {
                    account_id,
                    confirm: arguments.text("confirm")?,
                    keep_data: arguments.boolean("keep_data", true),
                    dry_run,
                };
                connections.disconnect(&request, caller).await
            })
        },
    },
    Procedure {
        name: "drop_secret",
        about: "Removes a stored secret with all its versions.",
        privilege: Role::Operator,
        parameters: &[required("name", ArgumentKind::Text, "The secret's name.")],
        run: |connections, arguments, caller| {
            Box::pin(async move {
                let name = arguments.text("name")?.ok_or_else(|| missing("name"))?;
                connections.drop_secret(&name, caller).await
            })
        },
    },
    Procedure {
        name: "put_secret",
        about: "Stores a secret, encrypted, under a name that credential => 'secret:<name>' refers to.",
        privilege: Role::Operator,
        parameters: &[
            required("name", ArgumentKind::Text, "The secret's name."),
            required(
                "value",
                ArgumentKind::Secret,
                "For AWS: '<access key id>:<secret access key>', the console's CSV, or JSON with access_key_id and secret_access_key.",
            ),
        ],
        run: |connections, arguments, caller| {
            Box::pin(async move {
                let name = arguments.text("name")?.ok_or_else(|| missing("name"))?;
                let value: SecretString = arguments.secret("value").ok_or_else(|| missing("value"))?;
                connections.put_secret(&name, &value, caller).await
            })
        },
    },
    Procedure {
        name: "refresh_export",
        about: "Looks for new deliveries now instead of at the next hour.",
        privilege: Role::Operator,
        parameters: &[
            optional("export_name", ArgumentKind::Text, "The export; all by default."),
            optional(
                "deliveries",
                ArgumentKind::Text,
                "'latest', or 'all' for the deliveries before it too, where AWS keeps each in a folder of its own. Default \
                 'latest'.",
            ),
        ],
        run: |connections, arguments, caller| {
            Box::pin(async move {
                connections
                    .refresh(
                        &Refresh {
                            export: arguments.text("export_name")?,
                            deliveries: match arguments.text("deliveries")? {
                                Some(word) => Deliveries::parse(&word)?,
                                None => Deliveries::Latest,
                            },
                        },
                        caller,
                    )
                    .await
            })
        },
    },
    setup::SETUP_AWS_IAM_USER,
    setup::UPDATE_AWS_CREDENTIALS,
    migrate::UPDATE_AWS_EXPORT,
];

fn missing(name: &str) -> Error {
    Error::new(ErrorKind::NullNotAllowed, format!("the argument {name} is missing"))
}

fn setup_guide(arguments: &Arguments) -> Result<SetupGuide> {
    Ok(SetupGuide {
        account_id: arguments.account("account_id")?.ok_or_else(|| missing("account_id"))?,
        bucket: arguments.text("bucket")?.ok_or_else(|| missing("bucket"))?,
        export_name: arguments.text("export_name")?.ok_or_else(|| missing("export_name"))?,
        prefix: arguments.text("prefix")?,
        region: arguments.text("region")?.unwrap_or_else(|| "us-east-1".to_owned()),
        user_name: arguments.text("user_name")?.unwrap_or_else(|| "farthing".to_owned()),
    })
}

fn connect_linked(arguments: &Arguments) -> Result<ConnectLinked> {
    Ok(ConnectLinked {
        credential: arguments.credential_or_role()?,
        account_id: arguments.known_account("account_id")?,
        account_name: arguments.text("account_name")?,
        dry_run: arguments.boolean("dry_run", false),
    })
}

fn connect_root(arguments: &Arguments) -> Result<ConnectRoot> {
    Ok(ConnectRoot {
        credential: arguments.credential_or_role()?,
        account_id: arguments.delivered_account("account_id")?,
        account_name: arguments.text("account_name")?,
        location: LocationParts {
            location: arguments.text("location")?,
            export_name: arguments.text("export_name")?,
            bucket: arguments.text("bucket")?,
            prefix: arguments.text("prefix")?,
            region: arguments.text("region")?,
        },
        replace: arguments.boolean("replace", false),
        unverified: arguments.boolean("unverified", false),
        wait: arguments.boolean("wait", true),
        dry_run: arguments.boolean("dry_run", false),
    })
}
