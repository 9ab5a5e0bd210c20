package pgtest_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/internal/pgtest"
)

func TestAwaitKilled(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	conn, err := pgx.Connect(t.Context(), database.KilledURL())
	if err != nil {
		t.Fatal(err)
	}
	var left atomic.Bool
	ended := make(chan error)
	time.AfterFunc(100*time.Millisecond, func() {
		left.Store(true)
		ended <- conn.Close(t.Context())
	})
	database.AwaitKilled(t)
	if !left.Load() {
		t.Error("somebody is still there")
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
