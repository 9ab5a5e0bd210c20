package bench

import (
	"context"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
)

// RoomConfig says what [Room] measures. The database is one that is thrown away: it is
// filled with a room, and with people who are none.
type RoomConfig struct {
	// OwnerURL reaches the database with the right to write into every table.
	OwnerURL string
	// Keys are what the house keys tokens with.
	Keys *match.Keys
	// Executor and Ledger are what questions are computed with, and paid from.
	Executor cleanroom.Executor
	Ledger   cleanroom.Ledger
	// People is how many each of two parties brings; zero means 1,000,000.
	People int
	// Rows is how many are grouped; zero means 5,000,000.
	Rows int
	// Round is how long a round of charges takes; zero means 3 seconds. Rounds is how many
	// rounds there are of each kind; zero means 5.
	Round  time.Duration
	Rounds int
	// Only names the measurements to make; without any, all of [RoomMeasurements].
	Only []string
	// Progress hears what is going on; nil means that nobody does.
	Progress func(step string, done, total int)
}

// roomMeasurements are made in this order.
var roomMeasurements = []measurement[RoomConfig]{
	{"operator", measureOperator},
	{"pair", measurePair},
	{"group", measureRoomGroups},
	{"charge", measureCharges},
}

// RoomMeasurements names the measurements.
func RoomMeasurements() []string { return namesOf(roomMeasurements) }

// Room measures what clean rooms cost.
func Room(ctx context.Context, config RoomConfig) (Report, error) {
	if config.People <= 0 {
		config.People = 1_000_000
	}
	if config.Rows <= 0 {
		config.Rows = 5_000_000
	}
	if config.Round <= 0 {
		config.Round = 3 * time.Second
	}
	if config.Rounds <= 0 {
		config.Rounds = 5
	}
	if config.Progress == nil {
		config.Progress = nobody
	}
	return measure(ctx, config, roomMeasurements, config.Only, unheard)
}
