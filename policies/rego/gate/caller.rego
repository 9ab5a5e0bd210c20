# METADATA
# title: Who asks, for what, and how
# description: |
#   The checks that look at the question alone and not at the person. They are the same
#   for everybody about whom the question is asked.
package mahrem.asked

import data.mahrem.gate
import data.mahrem.named

import future.keywords.not

# What is left to ask about the person.
missing := gate.required - passed

well_formed if {
	input.v == 1
	is_array(input.categories)
	input.case in {"none", "handled"}
}

# METADATA
# title: The recipient is registered
# labels:
#   check: recipient.known
#   law: GDPR-30-1-d KVKK-16
passed contains "recipient.known" if {
	named.recipient.relationship in {"first_party", "processor", "third_party"}
}

# METADATA
# title: A DPO who re-identifies speaks for no recipient
# labels:
#   check: recipient.known
#   law: GDPR-39-1-b
passed contains "recipient.known" if {
	input.action == "reidentify"
	office_act
}

# METADATA
# title: The recipient is contracted for this purpose
# labels:
#   check: recipient.contracted
#   law: GDPR-28-3 GDPR-5-1-b KVKK-8 KVKK-12-2
passed contains "recipient.contracted" if {
	named.recipient.purposes[input.purpose] == true
}

# METADATA
# title: A DPO who re-identifies needs no contract
# labels:
#   check: recipient.contracted
#   law: GDPR-39-1-b
passed contains "recipient.contracted" if {
	input.action == "reidentify"
	office_act
}

# METADATA
# title: The purpose may be served by somebody in this relationship to the person
# labels:
#   check: recipient.relationship
#   law: GDPR-5-1-a GDPR-13-1-e KVKK-10-1-c
passed contains "recipient.relationship" if {
	relationship := named.recipient.relationship
	named.purpose.relationships[relationship] == true
}

# METADATA
# title: A DPO who re-identifies acts for the controller
# labels:
#   check: recipient.relationship
#   law: GDPR-39-1-b
passed contains "recipient.relationship" if {
	input.action == "reidentify"
	office_act
}

# METADATA
# title: The recipient may point at a person in this way
# labels:
#   check: reference.allowed
#   law: GDPR-5-1-c GDPR-25-2 KVKK-4-2-c
passed contains "reference.allowed" if {
	named.recipient.references[input.reference] == true
}

# METADATA
# title: A DPO re-identifies a pseudonym
# labels:
#   check: reference.allowed
#   law: GDPR-4-5
passed contains "reference.allowed" if {
	input.action == "reidentify"
	office_act
	input.reference == "pseudonym"
}

# METADATA
# title: The purpose is registered
# labels:
#   check: purpose.known
#   law: GDPR-5-1-b KVKK-4-2-c
passed contains "purpose.known" if is_object(named.purpose)

# METADATA
# title: The purpose admits this act
# labels:
#   check: purpose.admits_action
#   law: GDPR-5-1-b KVKK-4-2-c
passed contains "purpose.admits_action" if {
	named.purpose.actions[input.action] == true
}

# METADATA
# title: The caller's role may do this at all
# labels:
#   check: role.allowed
#   law: GDPR-32-4 KVKK-12-1
passed contains "role.allowed" if {
	input.action in {"personalize", "audience"}
	input.role == "service"
}

# METADATA
# title: Only a DPO re-identifies
# labels:
#   check: role.allowed
#   law: GDPR-39-1-b GDPR-32-4 KVKK-12-1
passed contains "role.allowed" if {
	input.action == "reidentify"
	office_act
}

# METADATA
# title: The re-identification serves a purpose that law or the person ordered
# labels:
#   check: reidentification.ordered
#   law: GDPR-4-5 GDPR-25-1 KVKK-12-1
passed contains "reidentification.ordered" if {
	input.action == "reidentify"
	office_act
	named.purpose.reidentification == true
}

# METADATA
# title: Nobody is being re-identified
# labels:
#   check: reidentification.ordered
#   law: GDPR-4-5 GDPR-25-1 KVKK-12-1
passed contains "reidentification.ordered" if input.action in {"personalize", "audience"}

# METADATA
# title: The purpose uses this channel
# labels:
#   check: channel.allowed
#   law: GDPR-5-1-b ePrivacy-13-1 TR-6563-6
passed contains "channel.allowed" if {
	named.purpose.channels[input.channel] == true
}

# METADATA
# title: Nobody but the person sees the channel
# labels:
#   check: channel.private_enough
#   law: GDPR-5-1-f KVKK-12-1
passed contains "channel.private_enough" if {
	named.channel.discloses_to == "nobody"
}

# METADATA
# title: The message says nothing about the person that others should not see
# labels:
#   check: channel.private_enough
#   law: GDPR-5-1-f KVKK-12-1
passed contains "channel.private_enough" if {
	named.purpose.profiling == false
	onlooker := named.channel.discloses_to
	named.purpose.discloses[onlooker] == true
}

# METADATA
# title: A persona can be offered instead of the person's data
# labels:
#   check: categories.admitted
#   law: GDPR-5-1-c GDPR-25-2
passed contains "categories.admitted" if named.purpose.persona == true

# METADATA
# title: Re-identification opens no data category
# labels:
#   check: categories.admitted
#   law: GDPR-5-1-c
passed contains "categories.admitted" if {
	input.action == "reidentify"
	office_act
	input.categories == []
}

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

office_act if {
	input.role == "dpo"
	input.recipient == "none"
}

# METADATA
# title: Adults may be profiled
# labels:
#   law: GDPR-22 GDPR-recital-71
ages contains "adult" if "adult" in named.purpose.ages

# METADATA
# title: The purpose does not profile and admits people of this age
# labels:
#   law: GDPR-8-1 CZ-110-2019-7
ages contains age if {
	named.purpose.profiling == false
	some age in ["child", "youth", "unknown"]
	age in named.purpose.ages
}

# METADATA
# title: The purpose has a use for the category, which needs no open case or has one
# labels:
#   law: GDPR-5-1-c KVKK-4-2-c
categories[category] := properties if {
	some category in input.categories
	named.purpose.categories[category]
	properties := data.catalogue.categories[category]
	properties.cases[input.case] == true
}
