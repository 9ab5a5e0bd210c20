# METADATA
# title: The gate
# description: |
#   Every request needs every check. A reason for denial is the name of a check that did
#   not pass, so a fact that is missing, unknown or malformed denies by itself.
package mahrem.gate

import data.mahrem.asked

import future.keywords.not

required := {
	"basis.lawful",
	"categories.admitted",
	"channel.allowed",
	"channel.private_enough",
	"facts.well_formed",
	"jurisdiction.known",
	"purpose.admits_action",
	"purpose.known",
	"recipient.contracted",
	"recipient.known",
	"recipient.relationship",
	"reference.allowed",
	"reidentification.ordered",
	"role.allowed",
	"subject.known",
	"subject.not_objected",
	"subject.of_age",
	"subject.unrestricted",
	"trigger.fresh",
}

failed := asked.missing - passed

# METADATA
# title: The facts have the form of mahrem.facts/v1
# labels:
#   check: facts.well_formed
#   law: GDPR-5-2 KVKK-4-2
passed contains "facts.well_formed" if {
	asked.well_formed
	is_array(input.grants)
	input.consent.explicit in {"yes", "no"}
	input.consent.incentive in {"yes", "no"}
}
