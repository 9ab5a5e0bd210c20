# Whom it is about.
package mahrem.gate

import data.mahrem.basis
import data.mahrem.named

import future.keywords.not

# METADATA
# title: The person is known
# labels:
#   check: subject.known
#   law: GDPR-5-1-a KVKK-4-2-a
passed contains "subject.known" if input.subject.known == "yes"

# METADATA
# title: Processing is not restricted
# labels:
#   check: subject.unrestricted
#   law: GDPR-18-1 KVKK-11-1-d
passed contains "subject.unrestricted" if input.subject.restricted == "no"

# METADATA
# title: Law lets this purpose go on under a restriction
# labels:
#   check: subject.unrestricted
#   law: GDPR-18-2
passed contains "subject.unrestricted" if {
	input.subject.restricted == "yes"
	named.purpose.despite_restriction == true
}

# METADATA
# title: The person has not objected
# labels:
#   check: subject.not_objected
#   law: GDPR-21-1 GDPR-21-2 KVKK-11-1-g
passed contains "subject.not_objected" if {
	input.subject.objected == "no"
	input.consent.state in {"granted", "withdrawn", "refused", "expired", "never_asked"}
}

# METADATA
# title: Law lets this purpose go on despite an objection
# labels:
#   check: subject.not_objected
#   law: GDPR-21-1 GDPR-17-3-e
passed contains "subject.not_objected" if {
	input.subject.objected == "yes"
	named.purpose.despite_objection == true
}

# METADATA
# title: Law lets this purpose go on despite an objection in the ledger
# labels:
#   check: subject.not_objected
#   law: GDPR-21-1 GDPR-17-3-e
passed contains "subject.not_objected" if {
	input.subject.objected == "no"
	input.consent.state == "objected"
	named.purpose.despite_objection == true
}

# METADATA
# title: Only adults are profiled, and an unknown age is nobody's
# labels:
#   check: subject.of_age
#   law: GDPR-8-1 GDPR-22 GDPR-recital-38 GDPR-recital-71
passed contains "subject.of_age" if {
	input.subject.age == "adult"
	"adult" in named.purpose.ages
}

# METADATA
# title: The purpose does not profile and admits people of this age
# labels:
#   check: subject.of_age
#   law: GDPR-8-1 CZ-110-2019-7
passed contains "subject.of_age" if {
	input.subject.age in {"child", "youth", "unknown"}
	named.purpose.profiling == false
	input.subject.age in named.purpose.ages
}

# METADATA
# title: It is known which law applies to the person
# labels:
#   check: jurisdiction.known
#   law: GDPR-3
passed contains "jurisdiction.known" if input.subject.jurisdiction in data.catalogue.jurisdictions

# METADATA
# title: The processing has a legal basis
# labels:
#   check: basis.lawful
#   law: GDPR-6-1 KVKK-5
passed contains "basis.lawful" if basis.consent

# METADATA
# title: It belongs to the contract with the person
# labels:
#   check: basis.lawful
#   law: GDPR-6-1 KVKK-5
passed contains "basis.lawful" if basis.contract

# METADATA
# title: Law obliges the controller
# labels:
#   check: basis.lawful
#   law: GDPR-6-1 KVKK-5
passed contains "basis.lawful" if basis.legal_obligation

# METADATA
# title: There is a legitimate interest
# labels:
#   check: basis.lawful
#   law: GDPR-6-1 KVKK-5
passed contains "basis.lawful" if basis.legitimate_interests

# METADATA
# title: The purpose works without a trigger
# labels:
#   check: trigger.fresh
#   law: GDPR-5-1-d KVKK-4-2-b
passed contains "trigger.fresh" if {
	input.trigger == "none"
	named.purpose.trigger in {"none", "optional"}
}

# METADATA
# title: The trigger is recent enough to be welcome
# labels:
#   check: trigger.fresh
#   law: GDPR-5-1-d KVKK-4-2-b
passed contains "trigger.fresh" if {
	input.trigger == "fresh"
	named.purpose.trigger in {"optional", "required"}
}
