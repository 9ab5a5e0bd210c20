package policies_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Whom may advertising partners see at all? The same rules that decide about one person
// answer as a condition over many.
func ExampleRevision_AudienceFilter() {
	ctx := context.Background()
	engine, err := policies.Open(ctx, policies.Bundle(), policies.Config{EvaluationLimit: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	filter, err := engine.Revision().AudienceFilter(ctx, policies.AudienceQuestion{
		Role: privacy.RoleService, Recipient: "ad_network", Purpose: "audience_sync", Channel: "partner",
	})
	if err != nil {
		log.Fatal(err)
	}
	switch filter.Kind {
	case policies.FilterNone:
		fmt.Println("nobody")
	case policies.FilterAll:
		fmt.Println("everybody")
	case policies.FilterWhere:
		for _, term := range filter.Where.Terms {
			if len(term.Values) == 1 {
				fmt.Println(term.Field, "is", term.Values[0])
			}
		}
	}
	// Unordered output:
	// consent.explicit is yes
	// subject.known is yes
	// subject.objected is no
	// consent.state is granted
	// subject.age is adult
	// subject.restricted is no
	// consent.basis is consent
}
