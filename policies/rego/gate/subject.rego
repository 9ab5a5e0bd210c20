# Whom it is about.
package mahrem.gate

import data.mahrem.asked
import data.mahrem.basis
import data.mahrem.category
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
	input.consent.state in {
		"granted", "withdrawn", "refused", "expired", "never_asked", "stale_notice", "guardian_missing",
	}
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
# title: The purpose admits people of this age; only adults are profiled, and an unknown age is nobody's
# labels:
#   check: subject.of_age
#   law: GDPR-8-1 GDPR-22 GDPR-recital-38 GDPR-recital-71 CZ-110-2019-7
passed contains "subject.of_age" if asked.ages[input.subject.age]

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
passed contains "basis.lawful" if basis.standing[_]

# METADATA
# title: The person lives alone, so the household sees nothing new
# labels:
#   check: channel.private_enough
#   law: GDPR-5-1-f KVKK-12-1
passed contains "channel.private_enough" if {
	named.channel.discloses_to == "household"
	input.subject.household == "single"
}

# METADATA
# title: The act asks for at least one data category that may be opened
# labels:
#   check: categories.admitted
#   law: GDPR-5-1-c GDPR-9-1 KVKK-4-2-c KVKK-6-2
passed contains "categories.admitted" if category.granted[_]
