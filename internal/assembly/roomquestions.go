package assembly

import (
	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/postgres"
)

// openQuestions opens what answers questions about rooms.
func (h *House) openQuestions() {
	h.Rooms.Executor = postgres.NewRoomExecutor(h.DB, postgres.RoomExecutorConfig{})
	h.Rooms.Questions = cleanroom.New(h.Rooms.Reader, roomPolicy{h.Engine}, h.Rooms.Budgets, h.Rooms.Executor, noise.Secure{}, h.Log, cleanroom.Config{
		Seed: func(question audit.Digest) (int64, error) {
			keys, err := h.roomKeys.get()
			if err != nil {
				return 0, err
			}
			return keys.Seed(question)
		},
		Report: func(cause error) { h.options.Logger.Warn("a charged question has no answer", "error", cause) },
	})
}
