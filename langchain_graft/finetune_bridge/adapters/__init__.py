"""What an adapter is: its folder, checked; its weights; the store that keeps its versions."""
