package roomattack_test

import (
	"context"
	"fmt"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/internal/roomattack"
)

// An exact count falls to one question, whatever the least size of a group is.
func ExampleAttack_Run() {
	attack := roomattack.Attacks()[0]
	outcome, err := attack.Run(context.Background(), roomattack.Target{Mode: cleanroom.ThresholdOnly}, 100, 1)
	fmt.Println(attack.Name, outcome.Accuracy(), err)
	// Output: differencing 1 <nil>
}
