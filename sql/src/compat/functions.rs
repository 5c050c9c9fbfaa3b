//! The functions that the catalogs are read with.
//!
//! They look objects up in what the session sees, row by row: the catalogs are small. What Farthing does not have (defaults,
//! indexes, rules) is NULL, as PostgreSQL answers for what does not exist.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use datafusion::scalar::ScalarValue;
use farthing_engine::{Error, ErrorKind, Result};

use super::objects::{self, CLASS_OF_PROCEDURES, CLASS_OF_RELATIONS, CLASS_OF_SCHEMAS, quoted};
use super::{Catalogue, shape, types};

/// The OID of `(kind, name or OID)`, where kind is `regclass`, `regtype`, `regproc`, `regnamespace` or `regrole`. Casts to
/// these types are written as calls of it.
pub(super) const OBJECT_OID: &str = "farthing_object_oid";
/// The name of `(kind, name or OID)`, as these types print.
pub(super) const OBJECT_NAME: &str = "farthing_object_name";
/// An array of text without elements.
pub(super) const EMPTY_ARRAY: &str = "farthing_empty_array";

/// What a function gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gives {
    Text,
    Number,
    Flag,
    Texts,
}

impl Gives {
    fn arrow(self) -> DataType {
        match self {
            Gives::Text => DataType::Utf8,
            Gives::Number => DataType::Int64,
            Gives::Flag => DataType::Boolean,
            Gives::Texts => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
        }
    }
}

type Evaluate = fn(&Catalogue, &[ScalarValue]) -> Result<ScalarValue>;

use Gives::{Flag, Number, Text, Texts};

/// Names, what they give and how it is found.
static FUNCTIONS: &[(&[&str], Gives, Evaluate)] = &[
    (&[OBJECT_OID], Number, object_oid),
    (&[OBJECT_NAME], Text, object_name),
    (&[EMPTY_ARRAY], Texts, |_, _| Ok(texts(&[]))),
    (&["to_regclass"], Number, |c, a| {
        Ok(number(oid_of(c, "regclass", a.first())))
    }),
    (&["to_regtype"], Number, |c, a| {
        Ok(number(oid_of(c, "regtype", a.first())))
    }),
    (&["to_regnamespace"], Number, |c, a| {
        Ok(number(oid_of(c, "regnamespace", a.first())))
    }),
    (&["to_regrole"], Number, |c, a| {
        Ok(number(oid_of(c, "regrole", a.first())))
    }),
    (&["format_type"], Text, format_type),
    (&["pg_get_userbyid"], Text, user_by_id),
    (&["pg_encoding_to_char"], Text, |_, _| Ok(text(Some("UTF8")))),
    (&["obj_description"], Text, object_description),
    (&["col_description"], Text, column_description),
    (
        &["pg_get_function_arguments", "pg_get_function_identity_arguments"],
        Text,
        function_arguments,
    ),
    (&["pg_size_pretty"], Text, size_pretty),
    (&["quote_ident"], Text, |_, a| {
        Ok(text(string(a.first()).map(|name| quoted(&name)).as_deref()))
    }),
    (&["pg_tablespace_location"], Text, |_, _| Ok(text(Some("")))),
    (&["current_setting"], Text, current_setting),
    (&["set_config"], Text, set_config),
    (&["current_schemas"], Texts, |c, a| Ok(texts(&schemas(c, a)))),
    (&["pg_table_is_visible"], Flag, table_is_visible),
    (
        &[
            "pg_function_is_visible",
            "pg_type_is_visible",
            "pg_collation_is_visible",
            "pg_operator_is_visible",
            "pg_opclass_is_visible",
            "pg_opfamily_is_visible",
            "pg_conversion_is_visible",
            "pg_statistics_obj_is_visible",
            "pg_ts_config_is_visible",
            "pg_ts_dict_is_visible",
            "pg_ts_parser_is_visible",
            "pg_ts_template_is_visible",
        ],
        Flag,
        |_, a| Ok(flag(integer(a.first()).map(|_| true))),
    ),
    (
        &[
            "has_schema_privilege",
            "has_table_privilege",
            "has_any_column_privilege",
            "has_column_privilege",
            "has_database_privilege",
            "has_function_privilege",
            "has_type_privilege",
            "has_language_privilege",
            "has_tablespace_privilege",
            "has_sequence_privilege",
        ],
        Flag,
        has_privilege,
    ),
    (&["pg_has_role"], Flag, |c, a| {
        Ok(flag(Some(string(a.first()).as_deref() == Some(&c.user))))
    }),
    (
        &[
            "pg_relation_is_publishable",
            "pg_is_other_temp_schema",
            "row_security_active",
        ],
        Flag,
        |_, _| Ok(flag(Some(false))),
    ),
    (&["pg_my_temp_schema"], Number, |_, _| Ok(number(Some(0)))),
    (
        &[
            "pg_table_size",
            "pg_relation_size",
            "pg_total_relation_size",
            "pg_indexes_size",
            "pg_database_size",
            "pg_tablespace_size",
        ],
        Number,
        |_, _| Ok(number(None)),
    ),
    (
        &[
            "pg_get_expr",
            "pg_get_viewdef",
            "pg_get_ruledef",
            "pg_get_indexdef",
            "pg_get_constraintdef",
            "pg_get_triggerdef",
            "pg_get_partkeydef",
            "pg_get_serial_sequence",
            "pg_get_functiondef",
            "pg_get_function_result",
            "pg_get_function_sqlbody",
            "pg_get_statisticsobjdef_columns",
            "shobj_description",
            "inet_server_addr",
            "inet_client_addr",
        ],
        Text,
        |_, _| Ok(text(None)),
    ),
];

/// Whether a function of this name (in lower case) is one of these.
pub(super) fn is_known(name: &str) -> bool {
    FUNCTIONS.iter().any(|(names, ..)| names.contains(&name))
}

/// All functions over the catalogs.
pub(super) fn all(catalogue: &Arc<Catalogue>) -> Vec<Arc<ScalarUDF>> {
    FUNCTIONS
        .iter()
        .flat_map(|(names, gives, evaluate)| names.iter().map(move |name| (*name, *gives, *evaluate)))
        .map(|(name, gives, evaluate)| {
            // What has an effect runs when the statement does, and not while it is planned.
            let volatility = if name == "set_config" {
                Volatility::Volatile
            } else {
                Volatility::Stable
            };
            Arc::new(ScalarUDF::from(Function {
                name,
                gives,
                evaluate,
                catalogue: Arc::clone(catalogue),
                signature: Signature::one_of(vec![TypeSignature::Nullary, TypeSignature::VariadicAny], volatility),
            }))
        })
        .collect()
}

struct Function {
    name: &'static str,
    gives: Gives,
    evaluate: Evaluate,
    catalogue: Arc<Catalogue>,
    signature: Signature,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.catalogue, &other.catalogue)
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.gives.arrow())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let columns = args
            .args
            .iter()
            .map(|arg| arg.to_array(rows))
            .collect::<DataFusionResult<Vec<_>>>()?;
        let mut values = Vec::with_capacity(rows);
        for row in 0..rows {
            let arguments = columns
                .iter()
                .map(|column| ScalarValue::try_from_array(column, row))
                .collect::<DataFusionResult<Vec<_>>>()?;
            values.push((self.evaluate)(&self.catalogue, &arguments)?);
        }
        match values.pop() {
            Some(value) if constant => Ok(ColumnarValue::Scalar(value)),
            Some(value) => {
                values.push(value);
                Ok(ColumnarValue::Array(ScalarValue::iter_to_array(values)?))
            }
            None => Ok(ColumnarValue::Array(datafusion::arrow::array::new_empty_array(
                &self.gives.arrow(),
            ))),
        }
    }
}

fn text(value: Option<&str>) -> ScalarValue {
    ScalarValue::Utf8(value.map(str::to_owned))
}

fn number(value: Option<i64>) -> ScalarValue {
    ScalarValue::Int64(value)
}

fn flag(value: Option<bool>) -> ScalarValue {
    ScalarValue::Boolean(value)
}

fn texts(values: &[String]) -> ScalarValue {
    let values: Vec<ScalarValue> = values.iter().map(|value| text(Some(value))).collect();
    ScalarValue::List(ScalarValue::new_list(&values, &DataType::Utf8, true))
}

/// An argument as text, if it is any.
fn string(argument: Option<&ScalarValue>) -> Option<String> {
    match argument?.cast_to(&DataType::Utf8).ok()? {
        ScalarValue::Utf8(value) => value,
        _ => None,
    }
}

/// An argument as a number: an integer, or a numeral in text.
fn integer(argument: Option<&ScalarValue>) -> Option<i64> {
    string(argument)?.trim().parse().ok()
}

fn oid_of(catalogue: &Catalogue, kind: &str, named: Option<&ScalarValue>) -> Option<i64> {
    if let Some(oid) = integer(named) {
        return Some(oid);
    }
    let name = string(named)?;
    let objects = catalogue.objects();
    let plain = name.strip_prefix("pg_catalog.").unwrap_or(&name);
    match kind {
        "regclass" => objects.relation_named(&name, &catalogue.search_path).map(|r| r.oid),
        "regtype" => types::by_name(&name).map(|kind| kind.oid),
        "regnamespace" => Some(objects.namespace(plain)).filter(|oid| *oid != 0),
        "regrole" => objects
            .roles
            .iter()
            .find(|role| role.name == plain)
            .map(|role| role.oid),
        "regproc" | "regprocedure" => objects
            .routines
            .iter()
            .find(|routine| routine.procedure.name == plain)
            .map(|routine| routine.oid),
        _ => None,
    }
}

fn object_oid(catalogue: &Catalogue, arguments: &[ScalarValue]) -> Result<ScalarValue> {
    let kind = string(arguments.first()).unwrap_or_default();
    let named = arguments.get(1);
    let Some(name) = string(named) else {
        return Ok(number(None));
    };
    match oid_of(catalogue, &kind, named) {
        Some(oid) => Ok(number(Some(oid))),
        None => {
            let (what, error) = match kind.as_str() {
                "regclass" => ("relation", ErrorKind::UnknownTable),
                "regtype" => ("type", ErrorKind::Missing),
                "regnamespace" => ("schema", ErrorKind::Missing),
                "regrole" => ("role", ErrorKind::Missing),
                _ => ("function", ErrorKind::UnknownFunction),
            };
            Err(Error::new(error, format!("{what} \"{name}\" does not exist"))
                .with_hint("\\d *.* lists relations, \\df procedures, \\dn schemas."))
        }
    }
}

fn object_name(catalogue: &Catalogue, arguments: &[ScalarValue]) -> Result<ScalarValue> {
    let kind = string(arguments.first()).unwrap_or_default();
    let ScalarValue::Int64(Some(oid)) = object_oid(catalogue, arguments)? else {
        return Ok(text(None));
    };
    let objects = catalogue.objects();
    let name = match kind.as_str() {
        "regclass" => objects.relation(oid).map(|relation| {
            if objects.is_visible(oid, &catalogue.search_path) {
                quoted(&relation.name)
            } else {
                format!("{}.{}", quoted(&relation.schema), quoted(&relation.name))
            }
        }),
        "regtype" => Some(types::format(oid, -1)).filter(|name| name != "???"),
        "regnamespace" => objects
            .namespaces
            .iter()
            .find(|n| n.oid == oid)
            .map(|n| quoted(&n.name)),
        "regrole" => objects.roles.iter().find(|r| r.oid == oid).map(|r| quoted(&r.name)),
        _ => objects
            .routines
            .iter()
            .find(|r| r.oid == oid)
            .map(|r| r.procedure.name.to_owned()),
    };
    // As PostgreSQL prints these types: a dash for 0, the number where nothing has it.
    let name = name.unwrap_or_else(|| if oid == 0 { "-".to_owned() } else { oid.to_string() });
    Ok(text(Some(&name)))
}

fn format_type(_: &Catalogue, arguments: &[ScalarValue]) -> Result<ScalarValue> {
    let modifier = integer(arguments.get(1)).unwrap_or(-1);
    Ok(text(
        integer(arguments.first())
            .map(|oid| types::format(oid, modifier))
            .as_deref(),
    ))
}

fn user_by_id(catalogue: &Catalogue, arguments: &[ScalarValue]) -> Result<ScalarValue> {
    Ok(text(
        integer(arguments.first())
            .map(|oid| {
                let role = catalogue.objects().roles.iter().find(|role| role.oid == oid);
                role.map_or_else(|| format!("unknown (OID={oid})"), |role| role.name.clone())
            })
            .as_deref(),
    ))
}

/// The description of an object; a name of the catalog that it is in, if given, must fit.
fn object_description(catalogue: &Catalogue, arguments: &[ScalarValue]) -> Result<ScalarValue> {
    let Some(oid) = integer(arguments.first()) else {
        return Ok(text(None));
    };
    let class = string(arguments.get(1)).and_then(|name| shape::find(shape::PG_CATALOG, &name).map(|s| s.oid));
    let within = |wanted: i64| arguments.len() < 2 || class == Some(wanted);
    let objects = catalogue.objects();
    let relation = || objects.relation(oid).and_then(|r| r.about);
    let schema = || objects.namespaces.iter().find(|n| n.oid == oid).and_then(|n| n.about);
    let procedure = || {
        objects
            .routines
            .iter()
            .find(|r| r.oid == oid)
            .map(|r| r.procedure.about)
    };
    let about = None
        .or_else(|| relation().filter(|_| within(CLASS_OF_RELATIONS)))
        .or_else(|| schema().filter(|_| within(CLASS_OF_SCHEMAS)))
        .or_else(|| procedure().filter(|_| within(CLASS_OF_PROCEDURES)));
    Ok(text(about))
}

fn column_description(catalogue: &Catalogue, arguments: &[ScalarValue]) -> Result<ScalarValue> {
    let relation = integer(arguments.first()).and_then(|oid| catalogue.objects().relation(oid));
    let at = integer(arguments.get(1)).and_then(|at| usize::try_from(at - 1).ok());
    let about = relation
        .zip(at)
        .and_then(|(relation, at)| relation.columns.get(at)?.about);
    Ok(text(about))
}

fn function_arguments(catalogue: &Catalogue, arguments: &[ScalarValue]) -> Result<ScalarValue> {
    let oid = integer(arguments.first());
    let mut routines = catalogue.objects().routines.iter();
    let routine = routines.find(|routine| Some(routine.oid) == oid);
    Ok(text(routine.map(|r| objects::arguments(r.procedure)).as_deref()))
}

/// Bytes in the largest unit that leaves at least 10 of it, as PostgreSQL prints them.
fn size_pretty(_: &Catalogue, arguments: &[ScalarValue]) -> Result<ScalarValue> {
    let Some(mut size) = integer(arguments.first()) else {
        return Ok(text(None));
    };
    let mut unit = "bytes";
    for larger in ["kB", "MB", "GB", "TB", "PB"] {
        if size.abs() < 10 * 1024 {
            break;
        }
        size = (size + 512) / 1024;
        unit = larger;
    }
    Ok(text(Some(&format!("{size} {unit}"))))
}

fn current_setting(catalogue: &Catalogue, arguments: &[ScalarValue]) -> Result<ScalarValue> {
    let Some(name) = string(arguments.first()) else {
        return Ok(text(None));
    };
    let mut settings = catalogue.settings.iter();
    if let Some(setting) = settings.find(|setting| setting.name.eq_ignore_ascii_case(&name)) {
        return Ok(text(Some(&setting.value)));
    }
    if matches!(arguments.get(1), Some(ScalarValue::Boolean(Some(true)))) {
        return Ok(text(None));
    }
    crate::setting::require(&name)?;
    Ok(text(None))
}

fn set_config(catalogue: &Catalogue, arguments: &[ScalarValue]) -> Result<ScalarValue> {
    let (Some(name), Some(value)) = (string(arguments.first()), string(arguments.get(1))) else {
        return Ok(text(None));
    };
    let mut state = catalogue.session.state()?;
    state.set(&name, Some(&value))?;
    Ok(text(Some(&state.value(&name))))
}

fn schemas(catalogue: &Catalogue, arguments: &[ScalarValue]) -> Vec<String> {
    let implicit = matches!(arguments.first(), Some(ScalarValue::Boolean(Some(true))));
    search_path(&catalogue.search_path, implicit)
}

/// The schemas that names are looked up in, with `pg_catalog` where it is asked for.
pub(super) fn search_path(path: &[String], implicit: bool) -> Vec<String> {
    let first =
        (implicit && !path.iter().any(|schema| schema == shape::PG_CATALOG)).then(|| shape::PG_CATALOG.to_owned());
    first.into_iter().chain(path.iter().cloned()).collect()
}

fn table_is_visible(catalogue: &Catalogue, arguments: &[ScalarValue]) -> Result<ScalarValue> {
    let objects = catalogue.objects();
    Ok(flag(
        integer(arguments.first())
            .filter(|oid| objects.relation(*oid).is_some())
            .map(|oid| objects.is_visible(oid, &catalogue.search_path)),
    ))
}

/// Everything that can be seen can be read and called; nothing can be written.
fn has_privilege(_: &Catalogue, arguments: &[ScalarValue]) -> Result<ScalarValue> {
    let Some(asked) = string(arguments.last()) else {
        return Ok(flag(None));
    };
    let granted = ["select", "usage", "execute", "connect"];
    let any = asked
        .split(',')
        .any(|privilege| granted.contains(&privilege.trim().to_ascii_lowercase().as_str()));
    Ok(flag(Some(any)))
}
