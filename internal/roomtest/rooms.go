package roomtest

import (
	"context"
	"fmt"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// Rooms is one room with its contracts, snapshots and templates. Tests change it between
// questions.
type Rooms struct {
	Room      *cleanroom.Room
	Contracts []*cleanroom.SignedContract // sorted by owner and dataset
	Snapshots []cleanroom.MatchedSnapshot // sorted by owner and dataset
	Templates []*cleanroom.SignedTemplate
}

var _ cleanroom.Rooms = (*Rooms)(nil)

// find returns an error unless the room is this one.
func (r *Rooms) find(room cleanroom.RoomID) error {
	if r.Room == nil || r.Room.ID != room {
		return fmt.Errorf("room %s: %w", room, privacy.ErrNotFound)
	}
	return nil
}

// RoomOf returns the room.
func (r *Rooms) RoomOf(_ context.Context, room cleanroom.RoomID) (*cleanroom.Room, error) {
	if err := r.find(room); err != nil {
		return nil, err
	}
	return r.Room, nil
}

// ContractsOf returns the contracts in force.
func (r *Rooms) ContractsOf(_ context.Context, room cleanroom.RoomID) ([]*cleanroom.SignedContract, error) {
	if err := r.find(room); err != nil {
		return nil, err
	}
	return r.Contracts, nil
}

// SnapshotsOf returns the snapshots of the current epoch.
func (r *Rooms) SnapshotsOf(_ context.Context, room cleanroom.RoomID) ([]cleanroom.MatchedSnapshot, error) {
	if err := r.find(room); err != nil {
		return nil, err
	}
	return r.Snapshots, nil
}

// Template returns a template.
func (r *Rooms) Template(_ context.Context, room cleanroom.RoomID, name string, version int) (*cleanroom.SignedTemplate, error) {
	if err := r.find(room); err != nil {
		return nil, err
	}
	for _, template := range r.Templates {
		if template.Template.Name == name && template.Template.Version == version {
			return template, nil
		}
	}
	return nil, fmt.Errorf("template %s@%d: %w", name, version, privacy.ErrNotFound)
}
