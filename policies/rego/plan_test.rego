package mahrem.plan_test

import data.mahrem.basis
import data.mahrem.plan

import future.keywords.not

base := {
	"v": 1, "action": "personalize", "role": "service", "recipient": "web_shop",
	"purpose": "recommendations", "channel": "web", "reference": "pseudonym",
	"subject": {
		"known": "yes", "age": "adult", "jurisdiction": "CZ",
		"restricted": "no", "objected": "no", "household": "shared",
	},
	"consent": {"state": "granted", "explicit": "no", "basis": "consent", "incentive": "no"},
	"trigger": "none", "case": "none", "grants": [], "categories": ["purchases"],
}

reidentify := {
	"action": "reidentify", "role": "dpo", "recipient": "none", "purpose": "data_subject_request",
	"channel": "office", "categories": [], "consent": {"state": "never_asked", "basis": "none"},
}

postal := {"recipient": "mail_house", "purpose": "postal_offers", "channel": "postal"}

family := {
	"recipient": "newsletter_service", "purpose": "family_events", "channel": "email",
	"categories": ["contact"], "subject": {"age": "child"},
}

greeting := {"purpose": "greeting", "categories": ["contact"], "consent": {"state": "never_asked", "basis": "none"}}

decide(patches) := result if {
	result := plan.plan with input as object.union_n(array.concat([base], patches))
}

# Every check, by facts that fail it and nothing else that they should not.
denials := {
	"wrong version": {"patch": {"v": 2}, "failed": {"facts.well_formed"}},
	"recipient unknown": {"patch": {"recipient": "stranger"}, "failed": {
		"recipient.known", "recipient.contracted", "recipient.relationship", "reference.allowed",
	}},
	"recipient not contracted": {"patch": {"recipient": "ad_network"}, "failed": {"recipient.contracted", "recipient.relationship"}},
	"recipient not contracted though processor": {"patch": {"recipient": "newsletter_service"}, "failed": {"recipient.contracted"}},
	"reference not allowed": {"patch": {"reference": "phone"}, "failed": {"reference.allowed"}},
	"purpose does not admit audience": {
		"patch": {"purpose": "content", "action": "audience"},
		"failed": {"purpose.admits_action"},
	},
	"auditor asks": {"patch": {"role": "auditor"}, "failed": {"role.allowed"}},
	"channel not of the purpose": {"patch": {"channel": "sms"}, "failed": {"channel.allowed"}},
	"person unknown": {"patch": {"subject": {"known": "no"}}, "failed": {"subject.known"}},
	"restricted": {"patch": {"subject": {"restricted": "yes"}}, "failed": {"subject.unrestricted"}},
	"objected": {"patch": {"subject": {"objected": "yes"}}, "failed": {"subject.not_objected"}},
	"objection in the ledger": {"patch": {"consent": {"state": "objected"}}, "failed": {"subject.not_objected", "basis.lawful"}},
	"child": {"patch": {"subject": {"age": "child"}}, "failed": {"subject.of_age"}},
	"youth profiled": {"patch": {"subject": {"age": "youth"}}, "failed": {"subject.of_age"}},
	"age unknown": {"patch": {"subject": {"age": "unknown"}}, "failed": {"subject.of_age"}},
	"jurisdiction unknown": {"patch": {"subject": {"jurisdiction": "unknown"}, "categories": []}, "failed": {"jurisdiction.known"}},
	"never asked": {"patch": {"consent": {"state": "never_asked", "basis": "none"}}, "failed": {"basis.lawful"}},
	"withdrawn": {"patch": {"consent": {"state": "withdrawn"}}, "failed": {"basis.lawful"}},
	"a yes to an older wording": {"patch": {"consent": {"state": "stale_notice"}}, "failed": {"basis.lawful"}},
	"a child's own yes": {
		"patch": {"subject": {"age": "child"}, "consent": {"state": "guardian_missing"}},
		"failed": {"basis.lawful", "subject.of_age"},
	},
	"a child's own yes where children are welcome": {
		"patch": object.union(family, {"consent": {"state": "guardian_missing"}}),
		"failed": {"basis.lawful"},
	},
	"consent on another basis": {"patch": {"consent": {"basis": "contract"}}, "failed": {"basis.lawful"}},
	"pricing without explicit consent": {
		"patch": {"recipient": "price_engine", "purpose": "pricing"},
		"failed": {"basis.lawful"},
	},
	"stale trigger": {"patch": {"trigger": "stale"}, "failed": {"trigger.fresh"}},
	"trigger missing": {"patch": {"purpose": "store_coupons", "channel": "app"}, "failed": {"trigger.fresh"}},
	"purpose unknown": {"patch": {"purpose": "curiosity"}, "failed": {
		"purpose.known", "purpose.admits_action", "recipient.contracted", "recipient.relationship",
		"channel.allowed", "subject.of_age", "basis.lawful", "trigger.fresh", "categories.admitted",
	}},
	"service re-identifies": {
		"patch": object.union(reidentify, {"role": "service"}),
		"failed": {
			"role.allowed", "reidentification.ordered", "recipient.known", "recipient.contracted",
			"recipient.relationship", "reference.allowed", "categories.admitted",
		},
	},
	"re-identification to greet": {
		"patch": object.union(reidentify, {"purpose": "greeting", "channel": "web"}),
		"failed": {"reidentification.ordered", "purpose.admits_action"},
	},
	"re-identification by e-mail": {
		"patch": object.union(reidentify, {"reference": "email"}),
		"failed": {"reference.allowed"},
	},
	"post to a shared household": {"patch": postal, "failed": {"channel.private_enough"}},
	"nothing that may be opened": {
		"patch": object.union(greeting, {"categories": ["health"]}),
		"failed": {"categories.admitted"},
	},
}

test_denials if {
	every name, case in denials {
		result := decide([case.patch])
		[name, result.failed] == [name, case.failed]
		result.allow == false
		result.granted == set()
		result.obligations == set()
	}
}

test_every_required_check_is_in_a_denial if {
	{check | some case in denials; some check in case.failed} == data.mahrem.gate.required
}

test_consent_opens if {
	result := decide([])
	result.allow
	result.basis == "consent"
	result.ceiling == "exact"
	result.granted == {"purchases"}
	result.obligations == {"no_postal_household"}
}

test_health_needs_explicit_consent if {
	asked := {"categories": ["health", "purchases"], "grants": ["health"]}
	decide([asked]).granted == {"purchases"}
	explicit := decide([asked, {"consent": {"explicit": "yes"}}])
	explicit.granted == {"health", "purchases"}
	explicit.cleared == {"health"}
	decide([asked, {"consent": {"explicit": "yes"}, "grants": []}]).granted == {"purchases"}
}

test_special_grant_counts_only_where_the_purpose_may_ask if {
	loyal := {"purpose": "loyalty", "grants": ["children", "health"], "consent": {"explicit": "yes"}}
	decide([loyal]).cleared == {"children"}
}

test_conversations_need_a_case if {
	desk := object.union(greeting, {
		"recipient": "support_desk", "purpose": "support", "channel": "support",
		"categories": ["contact", "conversations"],
	})
	decide([desk]).granted == {"contact"}
	decide([desk, {"case": "handled"}]).granted == {"contact", "conversations"}
}

test_greeting_is_effortless if {
	every age in ["child", "youth", "adult", "unknown"] {
		result := decide([greeting, {"subject": {"age": age}}])
		result.allow
		result.basis == "contract"
	}
}

test_legitimate_interest_carries_a_persona if {
	result := decide([{"purpose": "content", "consent": {"state": "never_asked", "basis": "none"}}])
	result.basis == "legitimate_interests"
	result.ceiling == "persona"
	result.persona
}

test_persona_serves_where_nothing_is_granted if {
	result := decide([{"categories": ["health"]}])
	result.allow
	result.granted == set()
	result.persona
}

test_guardians_yes_opens_for_a_child if {
	result := decide([family])
	result.allow
	result.basis == "consent"
}

test_stale_yes_stands_where_the_purpose_keeps_it if {
	posted := {"recipient": "mail_house", "purpose": "direct_mail", "channel": "postal", "categories": ["contact"]}
	decide([posted, {"consent": {"state": "stale_notice"}}]).basis == "consent"
	not decide([posted, {"consent": {"state": "guardian_missing"}}]).allow
}

test_stale_yes_clears_no_category if {
	asked := {"categories": ["health", "purchases"], "grants": ["health"], "purpose": "loyalty"}
	decide([asked, {"consent": {"state": "stale_notice", "explicit": "yes"}}]).allow == false
}

test_contract_bears_what_is_no_no if {
	every state in ["stale_notice", "guardian_missing", "expired"] {
		decide([greeting, {"consent": {"state": state, "basis": "consent"}}]).basis == "contract"
	}
}

test_explicit_pricing_discloses if {
	result := decide([{"recipient": "price_engine", "purpose": "pricing", "consent": {"explicit": "yes", "incentive": "yes"}}])
	result.allow
	result.obligations == {"no_detriment", "no_postal_household"}
}

test_post_to_a_single_household if {
	result := decide([postal, {"subject": {"household": "single"}}])
	result.allow
	result.obligations == set()
}

test_the_same_catalogue_for_everyone_may_be_posted if {
	decide([{"recipient": "mail_house", "purpose": "direct_mail", "channel": "postal", "categories": ["contact"]}]).allow
}

test_fresh_trigger_must_be_used_in_time if {
	result := decide([{"purpose": "store_coupons", "channel": "app", "trigger": "fresh"}])
	"use_before" in result.obligations
}

test_dpo_reidentifies_on_request if {
	result := decide([reidentify])
	result.allow
	result.basis == "legal_obligation"
	decide([reidentify, {"consent": {"state": "objected"}}]).allow
	decide([reidentify, {"purpose": "legal_obligation", "subject": {"restricted": "yes", "objected": "yes"}}]).allow
}

test_no_basis_without_a_ledger_state if {
	not basis.name with input as object.union(base, {"consent": {"state": "unknown"}})
}

test_social_is_at_most_generalized if {
	result := decide([{
		"recipient": "social_listening", "purpose": "social_engagement", "channel": "web",
		"categories": ["social"],
	}])
	result.obligations == {"no_postal_household"}
	result.ceiling == "generalized"
}
