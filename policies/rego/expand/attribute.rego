# METADATA
# title: How much of an attribute a purpose may ever see
# description: |
#   Evaluated at activation for every pair of purpose and attribute, never per request.
#   The input holds what the catalogue says of the pair: the level that the purpose
#   states for the attribute or else for its category, and properties of both. Each level
#   needs all of its checks, so an attribute that lacks a property is withheld.
package mahrem.expand

import future.keywords.not

verdict := {"max": max_level, "reasons": needed.exact - passed}

max_level := "exact" if {
	needed.exact - passed == set()
} else := "generalized" if {
	needed.generalized - passed == set()
} else := "persona" if {
	needed.persona - passed == set()
} else := "withheld"

needed := {
	"exact": {
		"attribute.category_admitted",
		"attribute.imprecise",
		"attribute.minimal",
		"attribute.own_source",
		"attribute.special_admitted",
	},
	"generalized": {
		"attribute.category_admitted",
		"attribute.generalizable",
		"attribute.special_admitted",
	},
	"persona": {"attribute.persona_offered"},
}

# METADATA
# title: The purpose has a use for this kind of data
# labels:
#   check: attribute.category_admitted
#   law: GDPR-5-1-b GDPR-5-1-c KVKK-4-2-c
passed contains "attribute.category_admitted" if input.stated in {"exact", "generalized"}

# METADATA
# title: The purpose needs the exact value
# labels:
#   check: attribute.minimal
#   law: GDPR-5-1-c KVKK-4-2-c
passed contains "attribute.minimal" if input.stated == "exact"

# METADATA
# title: The value came from the person or from dealing with them, not from watching them elsewhere
# labels:
#   check: attribute.own_source
#   law: GDPR-5-1-a GDPR-14 KVKK-4-2-a
passed contains "attribute.own_source" if input.source in {"declared", "observed", "inferred", "imported"}

# METADATA
# title: The value is not so precise that it follows the person around
# labels:
#   check: attribute.imprecise
#   law: GDPR-5-1-c US-CA-1798.140-ae
passed contains "attribute.imprecise" if input.precise == false

# METADATA
# title: There is a coarser value
# labels:
#   check: attribute.generalizable
#   law: GDPR-5-1-c
passed contains "attribute.generalizable" if input.generalizable == true

# METADATA
# title: The data is not of a special category
# labels:
#   check: attribute.special_admitted
#   law: GDPR-9-1 KVKK-6-2
passed contains "attribute.special_admitted" if input.special == false

# METADATA
# title: The purpose may ask for explicit consent to special categories
# labels:
#   check: attribute.special_admitted
#   law: GDPR-9-2-a KVKK-6-3-a
passed contains "attribute.special_admitted" if {
	input.special == true
	input.purpose_may_ask == true
}

# METADATA
# title: A persona stands in for this attribute
# labels:
#   check: attribute.persona_offered
#   law: GDPR-5-1-c GDPR-25-2
passed contains "attribute.persona_offered" if {
	input.purpose_takes_persona == true
	input.persona == true
}
