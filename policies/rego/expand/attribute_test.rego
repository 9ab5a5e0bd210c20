package mahrem.expand_test

import data.mahrem.expand

import future.keywords.not

base := {
	"stated": "exact",
	"source": "declared",
	"precise": false,
	"generalizable": true,
	"persona": false,
	"special": false,
	"purpose_may_ask": false,
	"purpose_takes_persona": false,
}

cases := {
	"needed and harmless": {"patch": {}, "max": "exact", "reasons": set()},
	"no use for it": {
		"patch": {"stated": "none"}, "max": "withheld",
		"reasons": {"attribute.category_admitted", "attribute.minimal"},
	},
	"coarser suffices": {"patch": {"stated": "generalized"}, "max": "generalized", "reasons": {"attribute.minimal"}},
	"coarser suffices but there is none": {
		"patch": {"stated": "generalized", "generalizable": false}, "max": "withheld",
		"reasons": {"attribute.minimal"},
	},
	"precise": {"patch": {"precise": true}, "max": "generalized", "reasons": {"attribute.imprecise"}},
	"social": {"patch": {"source": "social"}, "max": "generalized", "reasons": {"attribute.own_source"}},
	"social without a coarser value": {
		"patch": {"source": "social", "generalizable": false}, "max": "withheld",
		"reasons": {"attribute.own_source"},
	},
	"special": {"patch": {"special": true}, "max": "withheld", "reasons": {"attribute.special_admitted"}},
	"special and may ask": {"patch": {"special": true, "purpose_may_ask": true}, "max": "exact", "reasons": set()},
	"persona instead": {
		"patch": {"stated": "none", "persona": true, "purpose_takes_persona": true}, "max": "persona",
		"reasons": {"attribute.category_admitted", "attribute.minimal"},
	},
	"persona that the purpose cannot use": {
		"patch": {"stated": "none", "persona": true}, "max": "withheld",
		"reasons": {"attribute.category_admitted", "attribute.minimal"},
	},
}

test_verdicts if {
	every name, case in cases {
		got := expand.verdict with input as object.union(base, case.patch)
		[name, got] == [name, {"max": case.max, "reasons": case.reasons}]
	}
}

test_nothing_known_is_withheld if {
	got := expand.verdict with input as {}
	got.max == "withheld"
}
