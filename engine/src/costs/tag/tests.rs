#![allow(clippy::unwrap_used, clippy::panic)]

use arrow::array::{MapBuilder, StringBuilder};

use super::*;

fn map(entries: &[(&str, &str)]) -> TextMap {
    let names = arrow::array::MapFieldNames {
        entry: "key_value".to_owned(),
        key: "key".to_owned(),
        value: "value".to_owned(),
    };
    let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    // A row before, so that offsets count.
    builder.keys().append_value("user_env");
    builder.values().append_value("another row's");
    builder.append(true).unwrap();
    for (key, value) in entries {
        builder.keys().append_value(key);
        builder.values().append_value(value);
    }
    builder.append(true).unwrap();
    TextMap::of(&(Arc::new(builder.finish()) as ArrayRef)).unwrap()
}

fn found(lookup: Lookup, maps: &[&[(&str, &str)]], key: &str) -> Option<String> {
    let maps: Vec<TextMap> = maps.iter().map(|entries| map(entries)).collect();
    Wanted::new(lookup, key).find(&maps, 1).map(str::to_owned)
}

#[test]
fn a_tag_is_found_under_every_spelling() {
    let normalised: &[_] = &[
        ("user_cost_center", "4711"),
        ("user_env", "prod"),
        ("aws_created_by", "ann"),
    ];
    let all: &[_] = &[
        ("iamPrincipal/Env", "principal"),
        ("accountTag/Env", "account"),
        ("costCategory/Env", "category"),
        ("resourceTags/Env", "prod"),
        ("resourceTags/CostCenter", "4711"),
        ("resourceTags/aws:createdBy", "ann"),
    ];
    let reports: &[_] = &[
        ("user:Env", "prod"),
        ("user:CostCenter", "4711"),
        ("aws:createdBy", "ann"),
    ];
    let focus: &[_] = &[("Env", "prod"), ("CostCenter", "4711"), ("aws:createdBy", "ann")];
    for maps in [
        &[normalised][..],
        &[all],
        &[normalised, all],
        &[all, normalised],
        &[reports],
        &[focus],
    ] {
        for key in [
            "Env",
            "env",
            "user_env",
            "user:Env",
            "resourceTags/Env",
            "resourceTags/user:Env",
        ] {
            assert_eq!(found(Lookup::Tag, maps, key).as_deref(), Some("prod"), "{maps:?} {key}");
        }
        for key in [
            "CostCenter",
            "cost_center",
            "Cost Center",
            "cost-center",
            "user_cost_center",
        ] {
            assert_eq!(found(Lookup::Tag, maps, key).as_deref(), Some("4711"), "{maps:?} {key}");
        }
        for key in ["aws:createdBy", "aws_created_by", "resourceTags/aws:createdBy"] {
            assert_eq!(found(Lookup::Tag, maps, key).as_deref(), Some("ann"), "{maps:?} {key}");
        }
        for key in [
            "createdBy",
            "costcenter",
            "nv",
            "Environment",
            "",
            "-",
            "user_",
            "aws:Env",
        ] {
            assert_eq!(found(Lookup::Tag, maps, key), None, "{maps:?} {key}");
        }
    }
}

#[test]
fn what_is_written_so_comes_first() {
    let normalised: &[_] = &[("user_env", "one of them")];
    let all: &[_] = &[("resourceTags/env", "lower"), ("resourceTags/Env", "capital")];
    for maps in [&[normalised, all][..], &[all, normalised]] {
        assert_eq!(found(Lookup::Tag, maps, "Env").as_deref(), Some("capital"));
        assert_eq!(found(Lookup::Tag, maps, "resourceTags/env").as_deref(), Some("lower"));
        assert_eq!(found(Lookup::Tag, maps, "user_env").as_deref(), Some("one of them"));
    }
    // The first of those that fit equally well.
    assert_eq!(found(Lookup::Tag, &[all], "-Env-").as_deref(), Some("lower"));
    // A tag whose own key begins with a giver's prefix.
    let odd: &[_] = &[("user_user_env", "odd")];
    assert_eq!(found(Lookup::Tag, &[odd], "user:user_env").as_deref(), Some("odd"));
    // Blank is absent.
    let blank: &[_] = &[("resourceTags/Env", ""), ("user_env", "prod")];
    assert_eq!(found(Lookup::Tag, &[blank], "Env").as_deref(), Some("prod"));
}

#[test]
fn cost_categories_have_no_giver() {
    let normalised: &[_] = &[("business_unit", "shop"), ("user_facing", "yes")];
    let all: &[_] = &[
        ("resourceTags/BusinessUnit", "tag"),
        ("costCategory/BusinessUnit", "shop"),
    ];
    for maps in [&[normalised][..], &[all], &[normalised, all]] {
        for key in [
            "BusinessUnit",
            "business_unit",
            "Business Unit",
            "costCategory/BusinessUnit",
        ] {
            assert_eq!(
                found(Lookup::CostCategory, maps, key).as_deref(),
                Some("shop"),
                "{maps:?} {key}"
            );
        }
    }
    assert_eq!(
        found(Lookup::CostCategory, &[normalised], "UserFacing").as_deref(),
        Some("yes")
    );
    assert_eq!(found(Lookup::CostCategory, &[normalised], "Facing"), None);
}

#[test]
fn normalising_is_that_of_aws() {
    for (key, expected) in [
        ("Env", "env"),
        ("CostCenter", "cost_center"),
        ("ENV", "e_n_v"),
        ("cost--center ", "cost_center"),
        ("Kosten stelle:Ü", "kosten_stelle"),
        ("a1B2", "a1_b2"),
        ("_", ""),
    ] {
        assert_eq!(normal(key).collect::<String>(), expected);
        assert_eq!(crate::ingest::athena_name(key), expected, "as the names of columns are");
    }
}
