package dsar_test

import (
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
)

func ExampleMachine() {
	for _, rule := range dsar.Machine() {
		if rule.To == dsar.Denied {
			fmt.Println(rule.Action, rule.From, rule.Checks)
		}
	}
	// Output: deny [received identity_pending in_progress extended] [denial.reason erasure.not_done]
}

func ExampleDenialReason_Article() {
	fmt.Println(dsar.ClaimNotCovered.Article("gdpr_cz", dsar.Erasure))
	fmt.Println(dsar.TooManyRequests.Article("kvkk", dsar.Erasure))
	// Output:
	// GDPR Article 17(3) true
	//  false
}

func ExampleStepDigest() {
	id, err := dsar.ParseRequestID("0f8fad5b-d9cb-469f-a165-70867728950e")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%x\n", dsar.StepDigest(id, 1, dsar.ActionOpen, audit.Digest{}))
	// Output: 6994dc525cb0ca05c86dc2147187ff38cd6ddf668a83e652d4664bfa5aeb3eff
}
