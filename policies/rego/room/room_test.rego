package mahrem.room_test

import data.mahrem.room

import future.keywords.not

base := {
	"v": 1, "act": "query", "party": "brand_partner", "members": ["brand_partner", "retail_media"],
	"roles": ["may_query", "may_receive"], "purpose": "campaign_measurement", "room_purpose": "campaign_measurement",
	"mode": "dp", "template": "yes",
	"datasets": [house, brand],
	"columns": [groups, campaign],
}

house := {"owner": "retail_media", "purposes": ["audience_sync", "campaign_measurement"], "source": "house", "ad_hoc": false}

brand := {"owner": "brand_partner", "purposes": ["audience_sync", "campaign_measurement"], "source": "party", "ad_hoc": true}

groups := {
	"dataset": 0, "category": "purchases", "role": "dimension",
	"vocabulary": "product_groups", "words": ["harmless"],
}

campaign := {"dataset": 1, "category": "engagement", "role": "dimension", "vocabulary": "none", "words": ["unknown"]}

location := object.union(campaign, {"category": "location"})

internal := {
	"party": "analyst", "members": ["analyst", "retail_media"], "purpose": "analytics", "room_purpose": "analytics",
	"mode": "k_only",
	"datasets": [{"owner": "retail_media", "purposes": ["analytics"], "source": "house", "ad_hoc": true}],
	"columns": [{"dataset": 0, "category": "purchases", "role": "measure", "vocabulary": "none", "words": []}],
}

activate := {"act": "activate", "roles": ["may_activate"], "purpose": "audience_sync"}

decide(patches) := result if {
	result := room.decision with input as object.union_n(array.concat([base], patches))
}

# What is allowed, with its limits.
openings := {
	"a query that everybody signed": {"patches": [], "minimum": 50, "cap": 0},
	"a count, which touches no column": {"patches": [{"columns": []}], "minimum": 50, "cap": 0},
	"a free query where contracts let it in": {
		"patches": [{"template": "no", "datasets": [brand], "columns": []}],
		"minimum": 50, "cap": 0,
	},
	"a column about places": {"patches": [{"columns": [groups, location]}], "minimum": 100, "cap": 2500000},
	"the house lets data in": {
		"patches": [{"act": "admit", "party": "retail_media", "roles": ["owns_data"], "datasets": [house], "columns": [groups]}],
		"minimum": 50, "cap": 0,
	},
	"a partner lets data in": {
		"patches": [{"act": "admit", "roles": ["owns_data"], "datasets": [brand], "columns": [object.union(campaign, {"dataset": 0, "role": "hidden"})]}],
		"minimum": 50, "cap": 0,
	},
	"the house brings data of others": {
		"patches": [{"datasets": [object.union(house, {"source": "party"})], "columns": [groups]}],
		"minimum": 50, "cap": 0,
	},
	"a match": {"patches": [{"act": "match", "party": "retail_media", "roles": ["owns_data"]}], "minimum": 50, "cap": 0},
	"an activation": {"patches": [activate], "minimum": 1000, "cap": 0},
	"a free activation where contracts let it in": {
		"patches": [activate, {"template": "no", "datasets": [brand], "columns": []}],
		"minimum": 1000, "cap": 0,
	},
	"an activation by places": {"patches": [activate, {"columns": [location]}], "minimum": 1000, "cap": 2500000},
	"exact numbers within the house": {"patches": [internal], "minimum": 50, "cap": 0},
}

test_openings if {
	every name, case in openings {
		result := decide(case.patches)
		[name, result] == [name, {
			"allow": true, "failed": set(),
			"minimum_people": case.minimum, "query_cap": case.cap,
		}]
	}
}

# Every check, by facts that fail it and nothing else that they should not.
denials := {
	"wrong version": {"patch": {"v": 2}, "failed": {"room.well_formed"}},
	"no such act": {"patch": {"act": "peek"}, "failed": {
		"room.well_formed", "room.role", "room.purpose_bound", "room.owners", "room.template",
	}},
	"template unclear": {"patch": {"template": "perhaps"}, "failed": {"room.well_formed", "room.template"}},
	"no dataset": {"patch": {"datasets": [], "columns": []}, "failed": {"room.well_formed"}},
	"columns are no list": {"patch": {"columns": 1}, "failed": {
		"room.well_formed", "room.categories_admitted", "room.nothing_special", "room.words_harmless",
	}},
	"a source of its own": {
		"patch": {"datasets": [house, object.union(brand, {"source": "broker"})]},
		"failed": {"room.well_formed", "room.owners"},
	},
	"free or not is unclear": {"patch": {"datasets": [house, object.union(brand, {"ad_hoc": "yes"})]}, "failed": {"room.well_formed"}},
	"a column of no dataset": {"patch": {"columns": [object.union(campaign, {"dataset": 2})]}, "failed": {"room.well_formed"}},
	"a column to join by": {"patch": {"columns": [object.union(campaign, {"role": "join"})]}, "failed": {"room.well_formed"}},
	"a party that is not in the room": {
		"patch": {"party": "media_agency"},
		"failed": {"room.parties_known", "room.relationship"},
	},
	"an unknown member": {"patch": {"members": ["brand_partner", "retail_media", "stranger"]}, "failed": {
		"room.parties_known", "room.parties_contracted", "room.relationship",
	}},
	"a processor in the room": {"patch": {"members": ["brand_partner", "recommender", "retail_media"]}, "failed": {
		"room.parties_known", "room.parties_contracted", "room.relationship",
	}},
	"nobody in the room": {"patch": {"members": []}, "failed": {
		"room.parties_known", "room.parties_contracted", "room.relationship", "room.owners",
	}},
	"a member without a contract for it": {
		"patch": {"members": ["brand_partner", "retail_media", "web_shop"]},
		"failed": {"room.parties_contracted"},
	},
	"no contract to activate": {
		"patch": object.union(activate, {"party": "media_agency", "members": ["brand_partner", "media_agency", "retail_media"]}),
		"failed": {"room.parties_contracted"},
	},
	"a stranger measures what is the house's": {
		"patch": {
			"purpose": "analytics", "room_purpose": "analytics",
			"datasets": [object.union(house, {"purposes": ["analytics"]})],
		},
		"failed": {"room.well_formed", "room.parties_contracted", "room.relationship"},
	},
	"a stranger activates for a purpose of the house": {
		"patch": object.union(activate, {
			"purpose": "analytics",
			"datasets": [
				object.union(house, {"purposes": ["analytics", "campaign_measurement"]}),
				object.union(brand, {"purposes": ["analytics", "campaign_measurement"]}),
			],
		}),
		"failed": {"room.parties_contracted", "room.relationship"},
	},
	"who only asks": {"patch": {"roles": ["may_query"]}, "failed": {"room.role"}},
	"who only receives": {"patch": {"roles": ["may_receive"]}, "failed": {"room.role"}},
	"who may not activate": {"patch": object.union(activate, {"roles": ["may_query", "may_receive"]}), "failed": {"room.role"}},
	"who owns nothing lets data in": {"patch": {"act": "admit", "datasets": [brand], "columns": []}, "failed": {"room.role"}},
	"data of another is let in": {
		"patch": {"act": "admit", "roles": ["owns_data"], "datasets": [brand, house]},
		"failed": {"room.owners"},
	},
	"another purpose than the room's": {
		"patch": {"purpose": "audience_sync"},
		"failed": {"room.purpose_bound"},
	},
	"an activation without audiences": {"patch": object.union(activate, {"purpose": "campaign_measurement"}), "failed": {"room.purpose_bound"}},
	"a purpose that nothing is measured for": {
		"patch": {
			"purpose": "newsletter", "room_purpose": "newsletter",
			"datasets": [object.union(house, {"purposes": ["newsletter"]}), object.union(brand, {"purposes": ["newsletter"]})],
		},
		"failed": {"room.purpose_measures", "room.parties_contracted", "room.relationship", "room.categories_admitted"},
	},
	"a purpose that does not exist": {
		"patch": {
			"purpose": "curiosity", "room_purpose": "curiosity",
			"datasets": [object.union(house, {"purposes": ["curiosity"]}), object.union(brand, {"purposes": ["curiosity"]})],
		},
		"failed": {
			"room.purpose_measures", "room.parties_contracted", "room.relationship", "room.categories_admitted", "room.by_consent",
		},
	},
	"the house's people are brought by a stranger": {
		"patch": {"datasets": [house, object.union(brand, {"source": "house"})]},
		"failed": {"room.owners"},
	},
	"the owner is not in the room": {
		"patch": {"datasets": [house, object.union(brand, {"owner": "media_agency"})]},
		"failed": {"room.owners"},
	},
	"a contract for something else": {
		"patch": {"datasets": [house, object.union(brand, {"purposes": ["audience_sync"]})]},
		"failed": {"room.contracts_admit"},
	},
	"a contract that does not name the activation": {
		"patch": object.union(activate, {"datasets": [house, object.union(brand, {"purposes": ["campaign_measurement"]})]}),
		"failed": {"room.contracts_admit"},
	},
	"a free query where one contract wants templates": {"patch": {"template": "no"}, "failed": {"room.template"}},
	"a free activation where one contract wants templates": {"patch": object.union(activate, {"template": "no"}), "failed": {"room.template"}},
	"exact numbers for a stranger": {"patch": {"mode": "k_only"}, "failed": {"room.mode"}},
	"an activation out of exact numbers": {
		"patch": object.union_n([internal, {
			"act": "activate", "roles": ["may_activate"], "party": "retail_media", "members": ["retail_media"],
			"purpose": "audience_sync",
			"datasets": [{"owner": "retail_media", "purposes": ["analytics", "audience_sync"], "source": "house", "ad_hoc": true}],
		}]),
		"failed": {"room.mode"},
	},
	"no such mode": {"patch": {"mode": "none"}, "failed": {"room.mode"}},
	"a category that the purpose has no use for": {
		"patch": {"columns": [object.union(campaign, {"category": "contact"})]},
		"failed": {"room.categories_admitted"},
	},
	"a category that the activation has no use for": {
		"patch": object.union(activate, {"columns": [object.union(campaign, {"category": "views"})]}),
		"failed": {"room.categories_admitted"},
	},
	"a special category": {
		"patch": {"columns": [object.union(campaign, {"category": "health"})]},
		"failed": {"room.categories_admitted", "room.nothing_special"},
	},
	"what was said to the support desk": {
		"patch": {"columns": [object.union(campaign, {"category": "conversations"})]},
		"failed": {"room.categories_admitted", "room.nothing_special"},
	},
	"a product group that points to a pregnancy": {
		"patch": {"columns": [object.union(groups, {"words": ["harmless", "protected"]})]},
		"failed": {"room.words_harmless"},
	},
	"a product group that nobody knows": {
		"patch": {"columns": [object.union(groups, {"words": ["unknown"]})]},
		"failed": {"room.words_harmless"},
	},
	"a protected word in a column without a vocabulary": {
		"patch": {"columns": [object.union(campaign, {"words": ["protected", "unknown"]})]},
		"failed": {"room.words_harmless"},
	},
	"another vocabulary": {
		"patch": {"columns": [object.union(campaign, {"vocabulary": "icd_10", "words": []})]},
		"failed": {"room.words_harmless"},
	},
}

test_denials if {
	every name, case in denials {
		result := decide([case.patch])
		[name, result] == [name, {
			"allow": false, "failed": case.failed,
			"minimum_people": 0, "query_cap": 0,
		}]
	}
}

test_consent_of_both_purposes if {
	every purpose in ["audience_sync", "campaign_measurement"] {
		purposes := json.remove(data.catalogue.purposes, [sprintf("%s/bases/consent", [purpose])])
		result := room.decision with input as object.union(base, activate) with data.catalogue.purposes as purposes
		result.failed == {"room.by_consent"}
	}
}

test_larger_audiences if {
	purposes := object.union(data.catalogue.purposes, {"audience_sync": {"audience_minimum": 5000}})
	result := room.decision with input as object.union(base, activate) with data.catalogue.purposes as purposes
	result.minimum_people == 5000
}

test_no_smaller_audiences if {
	purposes := object.union(data.catalogue.purposes, {"audience_sync": {"audience_minimum": 20}})
	result := room.decision with input as object.union(base, activate) with data.catalogue.purposes as purposes
	result.minimum_people == 1000
}
