package roomtest_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/internal/roomtest"
	"github.com/mahrem/mahrem/privacy"
)

func TestRooms(t *testing.T) {
	t.Parallel()
	rooms := &roomtest.Rooms{
		Room:      &cleanroom.Room{ID: "r"},
		Templates: []*cleanroom.SignedTemplate{{Template: &cleanroom.Template{Name: "reach", Version: 2}}},
	}
	if room, err := rooms.RoomOf(t.Context(), "r"); err != nil || room != rooms.Room {
		t.Error(room, err)
	}
	if _, err := rooms.RoomOf(t.Context(), "other"); !errors.Is(err, privacy.ErrNotFound) {
		t.Error(err)
	}
	if _, err := rooms.Template(t.Context(), "r", "reach", 2); err != nil {
		t.Error(err)
	}
	if _, err := rooms.Template(t.Context(), "r", "reach", 1); !errors.Is(err, privacy.ErrNotFound) {
		t.Error(err)
	}
}

func ExampleNewNoise() {
	one, other := roomtest.NewNoise(1), roomtest.NewNoise(1)
	fmt.Println(one.Gaussian(100, 20) == other.Gaussian(100, 20))
	// Output: true
}
