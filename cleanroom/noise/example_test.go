package noise_test

import (
	"fmt"

	"github.com/mahrem/mahrem/cleanroom/noise"
)

// What a question costs, and what a budget lets somebody find out.
func Example() {
	cost := noise.Cost(2, 1, 20) // people and one sum, noise of 20 people
	fmt.Println("cost in billionths:", cost)
	fmt.Println("such questions in a budget of 0.147:", 147_000_000/cost)
	fmt.Printf("right about one person at most: %.1f %%\n", 100*noise.Accuracy(147_000_000))
	// Output:
	// cost in billionths: 2500000
	// such questions in a budget of 0.147: 58
	// right about one person at most: 60.7 %
}

func ExampleSecure() {
	told := noise.Secure{}.Gaussian(1200, 20)
	low, high := noise.Interval(told, 20)
	fmt.Println(high-low, low < told, told < high)
	// Output: 80 true true
}

// A group of 900 spent 31.80 each of at most 50.00, everybody else 24.00.
func ExampleUplift() {
	sigma := noise.SumSigma(20, 0, 5000)
	d := noise.Uplift(
		noise.Noisy{Value: 2_862_000, Sigma: sigma}, noise.Noisy{Value: 900, Sigma: 20},
		noise.Noisy{Value: 10_062_000, Sigma: sigma}, noise.Noisy{Value: 3900, Sigma: 20}, 0, 5000)
	fmt.Println(d.Inside, d.Outside, d.Value)
	fmt.Println(d.Low < d.Value, d.Value < d.High)
	// Output:
	// 3180 2400 780
	// true true
}
