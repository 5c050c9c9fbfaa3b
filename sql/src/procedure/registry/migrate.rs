//! The procedure that moves an account from one export to another.

use farthing_engine::account::{Turn, UpdateExport};
use farthing_engine::principal::Role;
use farthing_engine::{Error, ErrorKind, Result};

use super::super::arguments::Arguments;
use super::super::{ArgumentKind, Procedure};
use super::{DRY_RUN, missing, optional, required};

pub(super) const UPDATE_AWS_EXPORT: Procedure = Procedure {
    name: "update_aws_export",
    about: "Moves an account from one connected export to another, from a month on: legacy CUR to CUR 2.0, for one. Compares the \
            months that both have; both tables stay. Changes nothing in AWS.",
    privilege: Role::Operator,
    parameters: &[
        required(
            "from_export",
            ArgumentKind::Text,
            "The export that counts in costs until now, by its name in AWS or its table name.",
        ),
        required(
            "to_export",
            ArgumentKind::Text,
            "The export that is to count from the cut-over on; connected already.",
        ),
        optional(
            "cut_over",
            ArgumentKind::Text,
            "The first month of the new export, 'YYYY-MM'; earlier months stay with the old one.",
        ),
        optional(
            "back",
            ArgumentKind::Boolean,
            "Take the cut-over back: the old export counts again. Default false.",
        ),
        DRY_RUN,
    ],
    run: |connections, arguments, caller| {
        Box::pin(async move { connections.update_export(&update_export(&arguments)?, caller).await })
    },
};

fn update_export(arguments: &Arguments) -> Result<UpdateExport> {
    let turn = match (arguments.text("cut_over")?, arguments.boolean("back", false)) {
        (Some(month), false) => Turn::Over(month.parse()?),
        (None, true) => Turn::Back,
        (Some(_), true) => {
            return Err(
                Error::new(ErrorKind::BadValue, "cut_over and back cannot be given together").with_hint(
                    "back => true takes the whole cut-over back; cut_over => 'YYYY-MM' moves it to another month.",
                ),
            );
        }
        (None, false) => {
            return Err(
                Error::new(ErrorKind::NullNotAllowed, "the argument cut_over is missing")
                    .with_hint("Give the first month of the new export, cut_over => 'YYYY-MM'; or back => true."),
            );
        }
    };
    Ok(UpdateExport {
        from_export: arguments.text("from_export")?.ok_or_else(|| missing("from_export"))?,
        to_export: arguments.text("to_export")?.ok_or_else(|| missing("to_export"))?,
        turn,
        dry_run: arguments.boolean("dry_run", false),
    })
}
