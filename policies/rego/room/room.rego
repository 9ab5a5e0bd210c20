# METADATA
# title: What may happen in a clean room
# description: |
#   Decided when a dataset is let in, when people are matched, for each query and for each
#   activation. Every check that the act needs must pass. Consent of single people is no
#   fact here: who has not given it is in no snapshot.
# entrypoint: true
package mahrem.room

import future.keywords.not

decision := {
	"allow": true,
	"failed": set(),
	"minimum_people": minimum_people,
	"query_cap": query_cap,
} if {
	failed == set()
} else := {
	"allow": false,
	"failed": failed,
	"minimum_people": 0,
	"query_cap": 0,
}

failed := required - passed

required := {
	"room.well_formed",
	"room.parties_known",
	"room.parties_contracted",
	"room.relationship",
	"room.role",
	"room.purpose_measures",
	"room.purpose_bound",
	"room.by_consent",
	"room.owners",
	"room.contracts_admit",
	"room.template",
	"room.mode",
	"room.categories_admitted",
	"room.nothing_special",
	"room.words_harmless",
}

acts := {"admit", "match", "query", "activate"}

relationships[party] := data.catalogue.recipients[party].relationship if some party in input.members

# METADATA
# title: The facts have the form of mahrem.room/v1
# labels:
#   check: room.well_formed
#   law: GDPR-5-2 KVKK-4-2
passed contains "room.well_formed" if {
	input.v == 1
	input.act in acts
	input.template in {"yes", "no"}
	is_array(input.columns)
	count(input.datasets) > 0
	every dataset in input.datasets {
		dataset.source in {"house", "party"}
		is_boolean(dataset.ad_hoc)
	}
	every column in input.columns {
		is_object(input.datasets[column.dataset])
		column.role in {"dimension", "measure", "hidden"}
	}
}

# METADATA
# title: Everybody in the room is registered, as the company itself or as a stranger to the person
# labels:
#   check: room.parties_known
#   law: GDPR-26-1 GDPR-30-1-d KVKK-16
passed contains "room.parties_known" if {
	input.party in input.members
	every party in input.members {
		relationships[party] in {"first_party", "third_party"}
	}
}

# METADATA
# title: Everybody in the room is contracted for the room's purpose, and who acts for that of the act
# labels:
#   check: room.parties_contracted
#   law: GDPR-26-1 GDPR-5-1-b KVKK-4-2-c
passed contains "room.parties_contracted" if {
	count(input.members) > 0
	every party in input.members {
		data.catalogue.recipients[party].purposes[input.room_purpose] == true
	}
	data.catalogue.recipients[input.party].purposes[input.purpose] == true
}

# METADATA
# title: The purposes may be served by parties in these relationships to the person
# labels:
#   check: room.relationship
#   law: GDPR-5-1-a GDPR-13-1-e KVKK-10-1-c
passed contains "room.relationship" if {
	count(input.members) > 0
	every party in input.members {
		data.catalogue.purposes[input.room_purpose].relationships[relationships[party]] == true
	}
	data.catalogue.purposes[input.purpose].relationships[relationships[input.party]] == true
}

# METADATA
# title: Who brings data in, or has it matched, owns data in the room
# labels:
#   check: room.role
#   law: GDPR-32-4 KVKK-12-1
passed contains "room.role" if {
	input.act in {"admit", "match"}
	"owns_data" in input.roles
}

# METADATA
# title: Who asks may ask, and may receive the answer
# labels:
#   check: room.role
#   law: GDPR-32-4 KVKK-12-1
passed contains "room.role" if {
	input.act == "query"
	"may_query" in input.roles
	"may_receive" in input.roles
}

# METADATA
# title: Who activates may do so
# labels:
#   check: room.role
#   law: GDPR-32-4 KVKK-12-1
passed contains "room.role" if {
	input.act == "activate"
	"may_activate" in input.roles
}

# METADATA
# title: The purposes may be measured in a clean room at all
# labels:
#   check: room.purpose_measures
#   law: GDPR-5-1-b KVKK-4-2-c
passed contains "room.purpose_measures" if {
	count(data.catalogue.purposes[input.room_purpose].room) > 0
	count(data.catalogue.purposes[input.purpose].room) > 0
}

# METADATA
# title: A room serves the one purpose that it was opened for
# labels:
#   check: room.purpose_bound
#   law: GDPR-5-1-b KVKK-4-2-c
passed contains "room.purpose_bound" if {
	input.act in {"admit", "match", "query"}
	input.purpose == input.room_purpose
}

# METADATA
# title: An activation serves a purpose for which audiences may be formed
# labels:
#   check: room.purpose_bound
#   law: GDPR-5-1-b KVKK-4-2-c
passed contains "room.purpose_bound" if {
	input.act == "activate"
	data.catalogue.purposes[input.purpose].actions.audience == true
}

# METADATA
# title: The purposes stand on consent, by which alone people are in a room
# labels:
#   check: room.by_consent
#   law: GDPR-6-1-a GDPR-7 KVKK-5-1
passed contains "room.by_consent" if {
	data.catalogue.purposes[input.room_purpose].bases.consent
	data.catalogue.purposes[input.purpose].bases.consent
}

# METADATA
# title: Datasets belong to members, and the house's own people to the house
# labels:
#   check: room.owners
#   law: GDPR-5-2 GDPR-26-1 KVKK-12-1
passed contains "room.owners" if {
	every dataset in input.datasets {
		dataset.owner in input.members
		dataset.source in sources[relationships[dataset.owner]]
	}
	owns_what_is_admitted
}

sources := {"first_party": {"house", "party"}, "third_party": {"party"}}

owns_what_is_admitted if input.act in {"match", "query", "activate"}

owns_what_is_admitted if {
	input.act == "admit"
	every dataset in input.datasets {
		dataset.owner == input.party
	}
}

# METADATA
# title: Every contract that is touched names the purposes
# labels:
#   check: room.contracts_admit
#   law: GDPR-5-1-b GDPR-26-1 KVKK-4-2-c
passed contains "room.contracts_admit" if {
	every dataset in input.datasets {
		input.room_purpose in dataset.purposes
		input.purpose in dataset.purposes
	}
}

# METADATA
# title: Nothing is asked
# labels:
#   check: room.template
#   law: GDPR-5-1-c GDPR-25-2
passed contains "room.template" if input.act in {"admit", "match"}

# METADATA
# title: Everybody signed what is asked
# labels:
#   check: room.template
#   law: GDPR-5-1-c GDPR-25-2
passed contains "room.template" if {
	input.act in {"query", "activate"}
	input.template == "yes"
}

# METADATA
# title: Every contract that is touched lets free questions in
# labels:
#   check: room.template
#   law: GDPR-5-1-c GDPR-25-2
passed contains "room.template" if {
	input.act in {"query", "activate"}
	input.template == "no"
	every dataset in input.datasets {
		dataset.ad_hoc == true
	}
}

# METADATA
# title: Answers are noisy, and what they could give away is counted
# labels:
#   check: room.mode
#   law: GDPR-25-1 GDPR-32-1 KVKK-12-1
passed contains "room.mode" if input.mode == "dp"

# METADATA
# title: Exact numbers stay within the house
# labels:
#   check: room.mode
#   law: GDPR-25-1 GDPR-32-1 KVKK-12-1
passed contains "room.mode" if {
	input.mode == "k_only"
	input.act in {"admit", "match", "query"}
	count(input.members) > 0
	every party in input.members {
		relationships[party] == "first_party"
	}
}

# METADATA
# title: The purposes have a use for every column
# labels:
#   check: room.categories_admitted
#   law: GDPR-5-1-c KVKK-4-2-c
passed contains "room.categories_admitted" if {
	every column in input.columns {
		data.catalogue.purposes[input.room_purpose].room[column.category] == true
		data.catalogue.purposes[input.purpose].room[column.category] == true
	}
}

# METADATA
# title: No column is of a special category, or of a case
# labels:
#   check: room.nothing_special
#   law: GDPR-9-1 GDPR-10 KVKK-6-2
passed contains "room.nothing_special" if {
	every column in input.columns {
		data.catalogue.categories[column.category].special == false
		"none" in object.keys(data.catalogue.categories[column.category].cases)
	}
}

# METADATA
# title: No value of a column points to a protected conclusion, such as a pregnancy
# labels:
#   check: room.words_harmless
#   law: GDPR-9-1 GDPR-recital-51 KVKK-6-2
passed contains "room.words_harmless" if {
	every column in input.columns {
		every standing in column.words {
			standing in harmless[column.vocabulary]
		}
		is_set(harmless[column.vocabulary])
	}
}

# In a vocabulary of the catalogue what is not known may be anything. Without one a word is
# the owner's own, and only what the catalogue knows to be protected is held against it.
harmless := {
	"product_groups": {"harmless"},
	"none": {"harmless", "unknown"},
}

# A group of fewer people than this is never told about.
minimum_people := max(minimums)

minimums contains 50

minimums contains 100 if touches_sensitive

minimums contains 1000 if input.act == "activate"

minimums contains data.catalogue.purposes[input.purpose].audience_minimum if input.act == "activate"

# What hurts when it gets out costs a query no more than a count of people with noise of 15,
# or a count and a sum with noise of 20.
query_cap := 2500000 if touches_sensitive

else := 0

touches_sensitive if {
	some column in input.columns
	data.catalogue.categories[column.category].sensitive == true
}
