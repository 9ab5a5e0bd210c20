package mahrem.expand_test

import data.mahrem.expand

import future.keywords.not

verdicts := [
	["greeting", "first_name", "exact"],
	["greeting", "email", "withheld"],
	["greeting", "purchases.product_groups", "withheld"],
	["recommendations", "purchases.product_groups", "exact"],
	["recommendations", "location.precise", "generalized"],
	["recommendations", "location.city", "exact"],
	["recommendations", "persona", "exact"],
	["recommendations", "health.conditions", "withheld"],
	["recommendations", "health.pregnancy_due_month", "generalized"],
	["special_offers_health", "health.conditions", "exact"],
	["content", "purchases.product_groups", "generalized"],
	["content", "persona", "persona"],
	["pricing", "purchases.product_groups", "persona"],
	["pricing", "spend.band", "exact"],
	["pricing", "religion.affiliation", "withheld"],
	["social_engagement", "social.interests", "generalized"],
	["social_engagement", "social.last_post", "withheld"],
	["curiosity", "first_name", "withheld"],
	["greeting", "shoe_size", "withheld"],
]

test_verdicts if {
	every row in verdicts {
		got := expand.verdict with input as {"purpose": row[0], "attribute": row[1]}
		array.concat(array.slice(row, 0, 2), [got.max]) == row
	}
}

test_special_needs_a_purpose_that_may_ask if {
	wrong := {"categories": {"religion": "exact"}, "attributes": {}, "persona": false, "special": false}
	got := expand.verdict with input as {"purpose": "pricing", "attribute": "religion.affiliation"}
		with data.catalogue.purposes.pricing as wrong
	got == {"max": "withheld", "reasons": {"attribute.special_admitted"}}
}

test_reasons_name_what_keeps_it_from_exact if {
	got := expand.verdict with input as {"purpose": "recommendations", "attribute": "location.precise"}
	got.reasons == {"attribute.imprecise"}
}
