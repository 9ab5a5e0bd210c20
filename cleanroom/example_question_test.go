package cleanroom_test

import (
	"fmt"

	"github.com/mahrem/mahrem/cleanroom"
)

// What is wrong with a query is told with its place, before anything is read or charged.
func ExampleParseQuery() {
	_, err := cleanroom.ParseQuery([]byte(`{
		"room": "spring", "purpose": "campaign_measurement",
		"from": [{"dataset": "retailer.purchases", "as": "p"}, {"dataset": "brand.segments", "as": "s"}],
		"join": "left", "metrics": [{"fn": "people", "as": "reach"}],
		"privacy": {"noise_people": 20, "max_groups_per_person": 1}
	}`))
	fmt.Println(err)
	// Output: /join: datasets are joined by "match", and by nothing else
}

func ExampleParseContract() {
	contract, err := cleanroom.ParseContract([]byte(segmentsContract))
	if err != nil {
		panic(err)
	}
	slot, _ := contract.SlotOf("points")
	place, _ := contract.Columns[0].Encode("silver")
	fmt.Println(contract.Ref(), slot, place)
	// Output: brand.segments m1 1
}
