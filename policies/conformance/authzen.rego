# METADATA
# title: The fixture of the AuthZEN certification
# description: |
#   Subjects, records and rules of the certification scenario of the Authorization API
#   1.0, section "Required Policy Behaviour". It decides about nobody's data: a policy
#   decision point is loaded with it so that a harness can see whether it evaluates what
#   it is asked. Closed unless a rule says otherwise.
# entrypoint: true
package mahrem.conformance

import future.keywords.not

decision := true if allowed

else := false

users := {"alice", "bob"}

statuses := {"record-1": "active", "record-2": "archived"}

# METADATA
# title: Everybody reads (rules 1 and 3)
allowed if {
	known
	input.action.name == "read"
}

# METADATA
# title: Alice writes what is active (rules 2 and 5)
allowed if {
	known
	input.action.name == "write"
	input.subject.id == "alice"
	status == "active"
}

# METADATA
# title: An administrator writes what is archived (rule 6)
allowed if {
	known
	input.action.name == "write"
	input.subject.properties.role == "admin"
	status == "archived"
}

# METADATA
# title: Alice deletes what can be brought back (rules 7 and 8)
allowed if {
	known
	input.action.name == "delete"
	input.action.properties.soft == true
	input.subject.id == "alice"
	status == "active"
}

known if {
	input.subject.type == "user"
	input.resource.type == "record"
	input.subject.id in users
	statuses[input.resource.id]
}

# What the caller says of the record goes before what is known of it.
status := object.get(properties, "status", statuses[input.resource.id])

properties := object.get(input.resource, "properties", {})
