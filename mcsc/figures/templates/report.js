for (const input of document.querySelectorAll(".compare input")) {
  const box = input.parentElement;
  const show = () => {
    box.style.setProperty("--place", input.value + "%");
    input.setAttribute("aria-valuetext", input.value + " %");
  };
  input.addEventListener("input", show);
  show();
}
