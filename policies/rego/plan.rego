# METADATA
# title: The plan
# description: |
#   The one document that is asked for. It is closed unless every check passed and a
#   legal basis stands, and a closed plan carries nothing but its reasons.
# entrypoint: true
package mahrem.plan

import data.mahrem.basis
import data.mahrem.category
import data.mahrem.gate
import data.mahrem.named
import data.mahrem.obligation

import future.keywords.not

plan := {
	"allow": true,
	"basis": basis.name,
	"ceiling": basis.ceiling,
	"failed": set(),
	"granted": category.granted,
	"cleared": category.cleared,
	"persona": named.purpose.persona,
	"obligations": obligation.due,
} if {
	gate.failed == set()
} else := {
	"allow": false,
	"basis": "none",
	"ceiling": "withheld",
	"failed": gate.failed,
	"granted": set(),
	"cleared": set(),
	"persona": false,
	"obligations": set(),
}
