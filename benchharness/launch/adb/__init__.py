"""The line to an Android device over adb."""
