// One click anywhere in the component: a button's data-… attributes are sent to the server.
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-act]');
  if (button) trigger('act', { ...button.dataset });
});
// Whoever works with the keyboard must not lose their place when the component changes.
let inside = false;
element.addEventListener('focusin', () => { inside = true; });
element.addEventListener('focusout', (event) => { if (event.relatedTarget) inside = false; });
watch('value', () => {
  const lost = !document.activeElement || document.activeElement === document.body;
  const next = element.querySelector('button, a');
  if (inside && lost && next) next.focus();
});
