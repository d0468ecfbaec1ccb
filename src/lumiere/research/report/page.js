// The clips of one prompt start together, from their beginning.
addEventListener("click", (event) => {
  const button = event.target.closest(".play");
  if (!button) return;
  const videos = [...button.closest(".comparison").querySelectorAll("video")];
  const playing = videos.some((video) => !video.paused);
  for (const video of videos) {
    if (playing) video.pause();
    else {
      video.currentTime = 0;
      video.play();
    }
  }
  button.textContent = playing ? "Play together" : "Pause";
});
