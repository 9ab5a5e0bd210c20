package clock_test

import (
	"fmt"
	"time"

	"github.com/mahrem/mahrem/dsar/clock"
)

func ExampleCompute() {
	d, err := clock.Compute(clock.Input{
		Regime: clock.GDPRCZ, Right: clock.Access,
		Received: time.Date(2026, time.March, 5, 9, 30, 0, 0, time.UTC),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("due", d.Due)
	for _, step := range d.Steps {
		fmt.Println(step.Date, step.Text)
	}
	// Output:
	// due 2026-04-07
	// 2026-03-05 the request reached the controller
	// 2026-03-05 the clock starts
	// 2026-04-05 1 calendar month from 2026-03-05
	// 2026-04-05 Sunday
	// 2026-04-06 Velikonoční pondělí
	// 2026-04-07 the last day
	// 2026-04-07 the last day to tell the person, with the reason, that it takes up to 3 calendar months
}

func ExampleCompute_refused() {
	received := time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)
	_, err := clock.Compute(clock.Input{
		Regime: clock.CCPA, Received: received,
		Pauses: []clock.Pause{{Ground: clock.Identity, From: received.AddDate(0, 0, 1)}},
	})
	fmt.Println(err)
	// Output:
	// computing deadline: pause.allowed: the clock does not wait for identity (11 CCR s. 7021(b))
}

func ExampleLawOf() {
	law, err := clock.LawOf(clock.KVKK, clock.Erasure, time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC))
	if err != nil {
		fmt.Println(err)
		return
	}
	exists, article := law.Extends()
	fmt.Println(law.Title("tr"), exists, article)
	// Output:
	// KVKK (6698 sayılı Kanun) false KVKK Art. 13(2)
}

func ExampleRegimeOf() {
	regime, err := clock.RegimeOf("UK-SCT")
	fmt.Println(regime, err)
	_, err = clock.RegimeOf("Narnia")
	fmt.Println(err)
	// Output:
	// uk_scotland <nil>
	// finding the law of a jurisdiction: invalid input
}

func ExampleDate_AddMonths() {
	d, err := clock.ParseDate("2026-08-31")
	fmt.Println(d.AddMonths(1), err)
	// Output:
	// 2026-09-30 <nil>
}
