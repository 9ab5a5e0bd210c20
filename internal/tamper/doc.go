// Package tamper has no code of its own: its tests are the trials of the log. One does to
// a real database, as its superuser and with stolen keys, whatever somebody could want to
// do to evidence, and asks each memory whether it noticed. Another kills everything that
// writes the log, at random points under load, and looks for what was acknowledged.
package tamper
