"""What an image is and what it holds: read once in a locked-down container, kept by the image's id.

Everything said from inside is a stranger's text: bounded, without secrets, and never run.
`harness.images` exports what other rooms may use.
"""
