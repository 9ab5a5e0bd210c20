package roomattack

import (
	"errors"
	"slices"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
)

// subsets returns n different choices of the words: the first one, which is the person's, with
// any of the others.
func subsets(n int) [][]string {
	all := make([][]string, n)
	for i := range all {
		all[i] = []string{words[0]}
		for bit := range len(words) - 1 {
			if i>>bit&1 == 1 {
				all[i] = append(all[i], words[bit+1])
			}
		}
	}
	return all
}

// even is a world of people who buy different things, many of each.
func even() World { return newWorld(slices.Repeat([]int{120}, len(words))) }

// Attacks returns all attacks. Each knows everybody but one person and spends all there is.
func Attacks() []Attack {
	return []Attack{
		differencing(), boundary(), oracle(), averaging(2), planted(), matchRate(), collusion(32), severalGroups(), averages(), histograms(), uplifts(),
		budgetOracle(), clockOfAnswers(), clockOfFailures(),
	}
}

// differencing asks about people with and without those among whom the person is, and takes
// the one from the other.
func differencing() Attack {
	steps := []Step{{Who: "brand", Epoch: 1, Question: ask(words[1:], countThem, noisePeople, false)}}
	for _, chosen := range subsets(7) {
		steps = append(steps, Step{Who: "brand", Epoch: 1, Question: ask(chosen, countThem, noisePeople, false)})
	}
	return Attack{Name: "differencing", World: even(), Budget: ConsumerCap, Steps: steps}
}

// boundary asks about groups of sizes around the least that is told, made of people whom the
// attackers know, so that one more tips them over: what is not told tells, too.
func boundary() Attack {
	sizes := []int{27, 22, 34, 36, 38, 39, 40, 41, 42, 44, 46, 48} // 27+22 is one below the least
	var steps []Step
	for _, other := range []int{1, 6, 5, 7, 4, 8, 9, 3} {
		steps = append(steps, Step{Who: "brand", Epoch: 1, Question: ask([]string{words[0], words[other]}, countThem, noisePeople, false)})
	}
	return Attack{Name: "rounding boundary", World: newWorld(sizes), Budget: ConsumerCap, Steps: steps}
}

// oracle asks about groups that the person makes just large enough, and looks at nothing but
// which of them are told.
func oracle() Attack {
	sizes := []int{27} // and 22 are one below the least
	var steps []Step
	for range 8 {
		sizes = append(sizes, minimumPeople-1-sizes[0])
		steps = append(steps, Step{Who: "brand", Epoch: 1, Question: ask([]string{words[0], words[len(sizes)-1]}, countThem, noisePeople, false)})
	}
	return Attack{Name: "threshold as an oracle", World: newWorld(sizes), Budget: ConsumerCap, Steps: steps, Look: LookAtTold}
}

// averaging asks the same so many times, in other words too, and then what is nearly the same.
func averaging(times int) Attack {
	var steps []Step
	for _, chosen := range subsets(8) {
		turned := slices.Clone(chosen)
		slices.Reverse(turned)
		steps = append(steps,
			Step{Who: "brand", Epoch: 1, Times: times, Question: ask(chosen, countThem, noisePeople, false)},
			Step{Who: "brand", Epoch: 1, Question: ask(turned, countThem, noisePeople, false)})
	}
	return Attack{Name: "averaging", World: even(), Budget: ConsumerCap, Steps: steps}
}

// planted asks about 49 people of the attackers' own and the person, who makes them enough,
// for what they spent as well: the person spent as much as counts.
func planted() Attack {
	sizes := slices.Repeat([]int{120}, len(words))
	sizes[0] = minimumPeople - 1
	var steps []Step
	const noise = 15 // people and a sum cost twice as much
	for _, chosen := range subsets(9) {
		steps = append(steps, Step{Who: "brand", Epoch: 1, Question: ask(chosen, sumThem, noise, false)})
	}
	return Attack{Name: "planted records", World: newWorld(sizes), Budget: ConsumerCap, Steps: steps}
}

// matchRate brings a list on which the person is, asks how many of it are customers, brings
// the list without them to the next match, and asks again.
func matchRate() Attack {
	var steps []Step
	for i, chosen := range subsets(8) {
		epoch := 1
		if i == 1 {
			epoch = 2
		}
		steps = append(steps, Step{Who: "brand", Epoch: epoch, Question: ask(chosen, countThem, noisePeople, true)})
	}
	return Attack{Name: "match rate", World: even(), Budget: ConsumerCap, Steps: steps}
}

// collusion has eight companies ask so many questions, and tell each other what they hear. The
// budget of the dataset is that of 29.
func collusion(questions int) Attack {
	var steps []Step
	for i, chosen := range subsets(questions) {
		steps = append(steps, Step{Who: consumers[i%len(consumers)], Epoch: 1, Question: ask(chosen, countThem, noisePeople, false)})
	}
	return Attack{Name: "collusion", World: even(), Budget: Cap, Steps: steps}
}

// budgetOracle asks what fails if the person is in the data, and looks at what is left of the
// budget. (Nothing of what can be asked fails because of the data; should anything ever, the
// budget must not say so.)
func budgetOracle() Attack {
	var steps []Step
	for _, chosen := range subsets(3) {
		steps = append(steps, Step{Who: "brand", Epoch: 1, Question: ask(chosen, countThem, noisePeople, false)})
	}
	return Attack{
		Name: "budget oracle", World: even(), Steps: steps, Look: LookAtBudget,
		Work: func(groups []cleanroom.Group) (time.Duration, error) {
			if isIn(groups) {
				return 0, errTooMany
			}
			return 0, nil
		},
	}
}

var errTooMany = errors.New("too many people")

// isIn reports whether the person is among people of some words, of which each has 120 others.
func isIn(groups []cleanroom.Group) bool { return groups[0].People%120 == 1 }

// severalGroups asks by word about a person who buys of all, and counts in three of them:
// what is paid for is three groups.
func severalGroups() Attack {
	const groups, noise = 3, 23 // people and a sum, in three groups each
	var steps []Step
	for i := range 8 { // a word is left out each time, so that it is another question
		chosen := slices.Delete(slices.Clone(words), i, i+1)
		q := question{chosen: chosen, metrics: sumThem, noise: noise, groups: groups}
		steps = append(steps, Step{Who: "brand", Epoch: 1, Question: q.document()})
	}
	return Attack{Name: "several groups", World: even().buysEverything(), Contracts: contracts(groups), Budget: ConsumerCap, Steps: steps}
}

// averages asks what people spend on average, and computes what they spent in all.
func averages() Attack { return computed("averages", averageThem) }

// histograms asks how many people spent how much.
func histograms() Attack { return computed("histograms", spreadThem) }

// computed asks for people and one thing more, which costs twice as much.
func computed(name, metrics string) Attack {
	var steps []Step
	for _, chosen := range subsets(9) {
		steps = append(steps, Step{Who: "brand", Epoch: 1, Question: ask(chosen, metrics, 15, false)})
	}
	return Attack{Name: name, World: even(), Budget: ConsumerCap, Steps: steps}
}

// uplifts compares the people of some words with everybody, and looks at nothing but what
// comes out of that.
func uplifts() Attack {
	steps := []Step{{Who: "brand", Epoch: 1, Question: ask(nil, sumThem, 15, false)}}
	for _, chosen := range subsets(8) {
		steps = append(steps, Step{Who: "brand", Epoch: 1, Question: ask(chosen, sumThem, 15, false)})
	}
	return Attack{Name: "uplift", World: even(), Budget: ConsumerCap, Steps: steps, Look: LookAtUplift}
}

// clockOfAnswers asks what takes longer if the person is in the data, and looks at the clock.
func clockOfAnswers() Attack {
	return timed("clock of answers", 1*time.Millisecond, 499*time.Millisecond, nil)
}

// clockOfFailures asks what fails, earlier if the person is in the data.
func clockOfFailures() Attack {
	return timed("clock of failures", 29*time.Second, 2*time.Millisecond, errTooMany)
}

func timed(name string, without, with time.Duration, failure error) Attack {
	var steps []Step
	for _, chosen := range subsets(8) {
		steps = append(steps, Step{Who: "brand", Epoch: 1, Question: ask(chosen, countThem, noisePeople, false)})
	}
	return Attack{
		Name: name, World: even(), Steps: steps, Look: LookAtClock,
		Work: func(groups []cleanroom.Group) (time.Duration, error) {
			if isIn(groups) {
				return with, failure
			}
			return without, failure
		},
	}
}
