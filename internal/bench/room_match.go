package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

const (
	// operatorTime is how long matching people under the house's key may take.
	operatorTime = 2.0
	// pairTime is how long one of two parties may be busy with a match in pair mode, and
	// pairRate how many people a second one core must mask.
	pairTime = 60.0
	pairRate = 18_000
	// pairRatio is how much longer masking somebody may take than the bare multiplication in
	// it: the rest is to find the element that is theirs, and to write it, which no vector unit
	// makes faster.
	pairRatio = 1.5
	// pairYard is how many bare multiplications are made between two passes.
	pairYard = 4096
	// pairBatch is how many people are masked between two looks at the progress.
	pairBatch = 16_384
)

// mailboxes returns the seeds of people who are none: the first of them, and half of those
// that another party has which begins at that half.
func mailboxes(matcher match.Matcher, first, n int) []match.Seed {
	seeds := make([]match.Seed, n)
	for i := range seeds {
		seeds[i] = matcher.Seed(privacy.NewPlain(fmt.Sprintf("person%d@bench.example", first+i)))
	}
	return seeds
}

// measureOperator measures a match under the house's key: everybody's token is keyed, the
// lists are joined, and everybody gets a number.
func measureOperator(ctx context.Context, config RoomConfig) ([]Row, error) {
	matcher := match.NewOperator()
	var lists [2][]match.Token
	for i := range lists {
		tokens, err := matcher.Mask(ctx, mailboxes(matcher, i*config.People/2, config.People))
		if err != nil {
			return nil, err
		}
		lists[i] = tokens
	}
	room := &cleanroom.Room{ID: "bench", Matching: cleanroom.MatchOperator}
	var best time.Duration
	for i := range config.Rounds {
		config.Progress("matching, operator mode", i, config.Rounds)
		runtime.GC()
		began := time.Now()
		var tags [2][]match.Tag
		for j, list := range lists {
			var err error
			if tags[j], err = config.Keys.Tags(ctx, room, 1, list); err != nil {
				return nil, err
			}
		}
		ids, err := match.Assign(rand.Reader, tags[0], tags[1])
		if err != nil {
			return nil, err
		}
		took := time.Since(began)
		if err := halfInCommon(ids, config.People); err != nil {
			return nil, err
		}
		if best == 0 || took < best {
			best = took
		}
	}
	return []Row{Row{
		What: fmt.Sprintf("operator mode, %d x %d people", config.People, config.People), Figure: best.Seconds(), Unit: "s",
		Note: fmt.Sprintf("keying and matching in memory, best of %d; half in common", config.Rounds),
	}.atMost(operatorTime)}, nil
}

// errMatch says that a match found others than there are in common.
var errMatch = errors.New("the match is wrong")

// halfInCommon checks that the second half of the first list is the first half of the other.
func halfInCommon(ids [][]int64, people int) error {
	for i := range people {
		if j := i - people/2; j >= 0 && ids[0][i] != ids[1][j] {
			return errMatch
		}
	}
	if ids[0][0] == ids[1][len(ids[1])-1] {
		return errMatch
	}
	return nil
}

// masked masks in batches that can be told about.
func masked[T any](config RoomConfig, what string, people []T, mask func([]T) ([]match.Token, error)) ([]match.Token, error) {
	tokens := make([]match.Token, 0, len(people))
	for len(people) > 0 {
		config.Progress(what, len(tokens), len(tokens)+len(people))
		n := min(pairBatch, len(people))
		some, err := mask(people[:n])
		if err != nil {
			return nil, err
		}
		tokens, people = append(tokens, some...), people[n:]
	}
	return tokens, nil
}

// measurePair measures a match in pair mode. The two parties work on machines of their own
// at the same time, so what counts is the time of the slower one.
func measurePair(ctx context.Context, config RoomConfig) ([]Row, error) {
	var salt match.PairSalt
	_, _ = rand.Read(salt[:]) // never fails
	var parties [2]*match.Pair
	for i := range parties {
		secret, err := match.NewPairSecret(rand.Reader)
		if err != nil {
			return nil, err
		}
		if parties[i], err = match.NewPair(salt, secret); err != nil {
			return nil, err
		}
	}
	var once, twice [2][]match.Token
	var busy [2]time.Duration
	var seeds [2][]match.Seed
	for i, party := range parties {
		seeds[i] = mailboxes(party, i*config.People/2, config.People)
	}
	var spent, yard time.Duration
	bare := func() error {
		before := processTime()
		defer func() { yard += processTime() - before }()
		return match.Yardstick(pairYard)
	}
	if err := bare(); err != nil {
		return nil, err
	}
	before := processTime()
	for i, party := range parties {
		began := time.Now()
		var err error
		once[i], err = masked(config, fmt.Sprintf("party %d masks its list", i+1), seeds[i], func(some []match.Seed) ([]match.Token, error) { return party.Mask(ctx, some) })
		if err != nil {
			return nil, err
		}
		busy[i] += time.Since(began)
	}
	spent += processTime() - before
	if err := bare(); err != nil {
		return nil, err
	}
	before = processTime()
	for i, party := range parties {
		began := time.Now()
		var err error
		twice[1-i], err = masked(config, fmt.Sprintf("party %d masks the other list", i+1), once[1-i], func(some []match.Token) ([]match.Token, error) { return party.Remask(ctx, some) })
		if err != nil {
			return nil, err
		}
		busy[i] += time.Since(began)
	}
	spent += processTime() - before
	if err := bare(); err != nil {
		return nil, err
	}
	tags := [2][]match.Tag{asTags(twice[0]), asTags(twice[1])}
	ids, err := match.Assign(rand.Reader, tags[0], tags[1])
	if err != nil {
		return nil, err
	}
	if err := halfInCommon(ids, config.People); err != nil {
		return nil, err
	}
	masks := float64(4 * config.People)
	single := yard.Seconds() / (3 * pairYard)
	note := fmt.Sprintf("%d x %d people; %d cores", config.People, config.People, runtime.GOMAXPROCS(0))
	slower := Row{What: "pair mode, the slower party", Figure: max(busy[0], busy[1]).Seconds(), Unit: "s", Note: note}
	if config.People >= 1_000_000 {
		slower = slower.atMost(pairTime)
	}
	return []Row{
		Row{
			What: "pair mode, people masked a second of one core", Figure: masks / spent.Seconds(), Unit: "people/s",
			Note: "by the time that the process had on the processor",
		}.atLeast(pairRate),
		{
			What: "pair mode, bare multiplications of the library a second of one core", Figure: 1 / single, Unit: "/s",
			Note: "the machine's part of it, between the passes of the same run",
		},
		Row{
			What: "pair mode, masking somebody against the bare multiplication", Figure: spent.Seconds() / masks / single, Unit: "x",
			Note: "the rest is to map or read, and to write, an element",
		}.atMost(pairRatio),
		slower,
		{What: "pair mode, a party's time on the processor", Figure: spent.Seconds() / 2, Unit: "s", Note: note},
	}, nil
}

func asTags(tokens []match.Token) []match.Tag {
	tags := make([]match.Tag, len(tokens))
	for i, token := range tokens {
		copy(tags[i][:], token[:])
	}
	return tags
}
