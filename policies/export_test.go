package policies

// UnderRace tells the outer tests whether the race detector runs.
const UnderRace = underRace
